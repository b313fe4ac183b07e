"""Faces are followed by their boxes, in simulated time."""

from collections.abc import Callable

import pytest
from facefleet.vision.boxes import Box, overlap
from facefleet.vision.tracker import LOST, Tracker

Way = Callable[[float], Box | None]


def walk(speed: float, begin: float = 0.0, y: int = 200, size: int = 100) -> Way:
    """A face that passes from left to right at a speed in pixels a second."""

    def at(second: float) -> Box | None:
        x = speed * (second - begin) - size
        return (round(x), y, size, size) if second >= begin and -size <= x < 640 else None

    return at


def stand(x: int, size: int = 100, hidden: tuple[float, float] = (-1, -1)) -> Way:
    return lambda second: None if hidden[0] <= second < hidden[1] else (x, 200, size, size)


def play(ways: dict[str, Way], fps: float, seconds: float) -> dict[str, list[int]]:
    """The numbers that the face of each way had, each once."""
    tracker, numbers = Tracker(), {name: [] for name in ways}
    for n in range(int(seconds * fps)):
        there = {name: box for name, way in ways.items() if (box := way(n / fps)) is not None}
        found = tracker.follow(list(there.values()), n / fps)
        for name, number in zip(there, found, strict=True):
            if number not in numbers[name]:
                numbers[name].append(number)
    return numbers


@pytest.mark.parametrize("fps", [2, 5, 15, 30])
def test_a_face_that_stands_and_one_that_walks_are_followed(fps: float) -> None:
    ways = {"stand": stand(500), "walk": walk(120, begin=1, y=20)}
    assert play(ways, fps, 7) == {"stand": [0], "walk": [1]}


@pytest.mark.parametrize("fps", [5, 15, 30])
def test_a_face_that_hurries_is_followed_although_its_boxes_are_apart(fps: float) -> None:
    assert play({"hurry": walk(600)}, fps, 2) == {"hurry": [0]}
    if fps == 5:
        way = walk(600)
        assert overlap(way(0.2), way(0.4)) == 0


@pytest.mark.parametrize("fps", [5, 10, 15, 30])
def test_faces_that_cross_keep_their_numbers(fps: float) -> None:
    right = walk(150)

    def left(second: float) -> Box | None:
        x, *others = right(second) or (None,)
        # For a second, the nearer face hides it.
        hidden = x is not None and abs((540 - x) - x) < 100
        return None if x is None or hidden else (540 - x, *others)

    assert play({"right": right, "left": left}, fps, 4.5) == {"right": [0], "left": [1]}


def test_a_face_is_found_again_where_it_was_hidden_but_not_after_long() -> None:
    short = {"face": stand(300, hidden=(2, 2 + LOST - 0.3))}
    assert play(short, 5, 6) == {"face": [0]}
    long = {"face": stand(300, hidden=(2, 2 + LOST + 0.3))}
    assert play(long, 5, 6) == {"face": [0, 1]}


def test_who_enters_where_another_one_left_is_another_one() -> None:
    def out(second: float) -> Box | None:
        return (round(300 + 300 * second), 200, 100, 100) if second < 1 else None

    def back(second: float) -> Box | None:
        return (round(540 - 300 * (second - 1.4)), 200, 100, 100) if second >= 1.4 else None

    assert play({"out": out, "back": back}, 5, 3) == {"out": [0], "back": [1]}


def test_a_face_of_another_size_in_the_same_place_is_another_one() -> None:
    def near(second: float) -> Box | None:
        return (240, 150, 200, 200) if second >= 2 else None

    ways = {"far": stand(290, hidden=(2, 9)), "near": near}
    assert play(ways, 5, 4) == {"far": [0], "near": [1]}


def test_a_slow_camera_and_a_pause_end_every_track() -> None:
    assert play({"face": stand(300)}, 0.5, 6) == {"face": [0, 1, 2]}
    tracker = Tracker()
    box = (300, 200, 100, 100)
    assert [*tracker.follow([box], 0), *tracker.follow([box], 60)] == [0, 1]
    assert tracker.numbers == {1}


def test_the_end_of_all_tracks() -> None:
    tracker = Tracker()
    tracker.follow([(300, 200, 100, 100)], 0)
    tracker.end()
    assert tracker.numbers == set()
    assert tracker.follow([(300, 200, 100, 100)], 0.2) == [1]


def test_boxes_without_an_extent_and_frames_of_the_same_moment_are_no_error() -> None:
    tracker = Tracker()
    assert tracker.follow([(0, 0, 0, 0), (5, 5, 1, 0)], 0) == [0, 1]
    assert tracker.follow([(0, 0, 0, 0)], 0) == [0]
    assert tracker.follow([], 0.1) == []
