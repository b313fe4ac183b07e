"""Which pictures of a visit are captured, in simulated time."""

from itertools import count

import pytest
from facefleet.vision.visits import (
    FIRST_WITHIN,
    GOOD,
    LONGEST,
    BestOfVisit,
    Candidate,
    Choice,
    EveryFace,
)
from hypothesis import given
from hypothesis import strategies as st

BOX = (300, 200, 100, 100)
Row = tuple[float, str, str, int]  # second, picture, visit, candidates


def visits(most: int = 3) -> BestOfVisit[str]:
    numbers = count(1)
    return BestOfVisit(most, lambda: f"visit-{next(numbers)}")


def play(chooser: BestOfVisit[str], frames: dict[float, float | None]) -> list[Row]:
    """Play frames by their seconds, each with a face of this quality, or without a face.

    A picture is called by its second.
    """
    rows = []
    for second, quality in frames.items():
        faces = [] if quality is None else [Candidate(BOX, quality, f"{second:g}")]
        rows += [_row(second, choice) for choice in chooser.choose(faces, second)]
    return rows


def _row(second: float, choice: Choice[str]) -> Row:
    return second, choice.picture, choice.visit, choice.candidates


def every(period: float, *qualities: float | None) -> dict[float, float | None]:
    return {round(n * period, 3): quality for n, quality in enumerate(qualities)}


def ended(chooser: BestOfVisit[str]) -> list[tuple[str, int]]:
    return [(choice.picture, choice.candidates) for choice in chooser.end()]


def test_a_good_face_is_captured_at_once() -> None:
    assert play(visits(), every(0.2, None, GOOD, None)) == [(0.2, "0.2", "visit-1", 1)]


def test_a_bad_face_waits_for_a_good_one() -> None:
    frames = every(0.2, 0.2, 0.3, 0.2, GOOD, 0.55)
    assert play(visits(), frames) == [(0.6, "0.6", "visit-1", 4)]


@pytest.mark.parametrize("period", [0.02, 0.2, 0.3, 0.5, 1.0])
def test_the_best_one_is_captured_a_second_after_the_face_appeared(period: float) -> None:
    bad = every(period, 0.1, 0.2, *[0.1] * 60)
    ((second, picture, *_),) = play(visits(), bad)
    assert FIRST_WITHIN - period <= second <= FIRST_WITHIN
    assert picture == ("0" if second == 0 else f"{period:g}")


def test_a_bad_face_waits_in_the_first_frame_and_after_a_cut_too() -> None:
    chooser = visits()
    assert play(chooser, {5000.0: 0.2, 5000.2: 0.7}) == [(5000.2, "5000.2", "visit-1", 2)]
    assert ended(chooser) == []
    assert play(chooser, {6000.0: 0.2, 6000.2: 0.7}) == [(6000.2, "6000.2", "visit-2", 2)]


def test_a_face_that_is_out_of_view_waits_no_longer() -> None:
    assert play(visits(), every(0.2, 0.1, None)) == [(0.2, "0", "visit-1", 1)]


def test_a_better_face_is_captured_only_if_it_is_clearly_better() -> None:
    chooser = visits()
    assert play(chooser, every(0.2, 0.6, 0.7, 0.74)) == [(0, "0", "visit-1", 1)]
    assert play(chooser, {0.6: 0.76}) == [(0.6, "0.6", "visit-1", 4)]
    assert play(chooser, {0.8: 0.99}) == []  # the last place is kept for the end
    assert ended(chooser) == [("0.8", 5)]


def test_the_best_face_is_captured_at_the_end_of_the_visit() -> None:
    chooser = visits()
    play(chooser, every(0.2, 0.6, 0.7, 0.65))
    gone = {2.0: None, 2.5: None}
    assert play(chooser, gone) == [(2.0, "0.2", "visit-1", 3)]
    assert ended(chooser) == []


def test_what_is_hardly_better_is_not_captured_at_the_end() -> None:
    chooser = visits()
    play(chooser, every(0.2, 0.6, 0.64))
    assert ended(chooser) == []


def test_a_visit_of_bad_faces_is_captured_all_the_same() -> None:
    chooser = visits()
    assert play(chooser, {0.0: 0.0}) == []
    assert ended(chooser) == [("0", 1)]


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_no_more_than_the_maximum_is_captured(most: int) -> None:
    chooser = visits(most)
    steps = play(chooser, every(0.2, 0.5, 0.66, 0.82, 0.98))
    assert len(steps) == max(1, min(most - 1, 4))
    assert len(steps) + len(ended(chooser)) == min(most, 4)


def test_the_next_visit_has_another_name() -> None:
    frames = {0.0: 0.8, 0.2: None, 3.0: None, 3.2: 0.8}
    assert play(visits(), frames) == [(0, "0", "visit-1", 1), (3.2, "3.2", "visit-2", 1)]


def test_after_a_cut_everything_is_another_visit() -> None:
    chooser = visits()
    play(chooser, {0.0: 0.8, 0.2: 0.9})
    assert ended(chooser) == [("0.2", 2)]
    assert play(chooser, {0.4: 0.8}) == [(0.4, "0.4", "visit-2", 1)]


def test_who_stays_is_captured_again_from_time_to_time() -> None:
    frames = every(0.5, *[0.8] * int(2.5 * LONGEST / 0.5))
    seconds = [second for second, *_ in play(visits(), frames)]
    assert seconds == [0, LONGEST, 2 * LONGEST]


def test_two_faces_are_two_visits() -> None:
    chooser = visits()
    faces = [Candidate((x, 200, 90, 110), 0.7, f"at {x}") for x in (100, 400)]
    chosen = chooser.choose(faces, 0.0)
    assert [(one.picture, one.visit, one.first) for one in chosen] == [
        ("at 100", "visit-1", True),
        ("at 400", "visit-2", True),
    ]


def test_a_name_of_a_visit_is_not_used_twice() -> None:
    names = set()
    for _ in range(100):
        (choice,) = BestOfVisit(3).choose([Candidate(BOX, 0.9, "picture")], 0.0)
        names.add(choice.visit)
    assert len(names) == 100


def test_every_face_is_captured_if_so_asked() -> None:
    chooser = EveryFace()
    faces = [Candidate(BOX, quality, f"{quality}") for quality in (0.0, 0.9)]
    for second in (0.0, 0.2):
        chosen = chooser.choose(faces, second)
        assert chosen == [Choice(one.picture, None, None, first=False) for one in faces]
    assert chooser.end() == []


@given(
    st.integers(1, 5),
    st.sampled_from([0.04, 0.2, 0.5, 1.0, 3.0]),
    st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=120),
)
def test_no_visit_is_missed(most: int, period: float, qualities: list[float | None]) -> None:
    """One face comes and goes: each stay has a face of its own, captured in time."""
    chooser = visits(most)
    frames = every(period, *qualities)
    rows = play(chooser, frames)
    rows += [_row(max(frames) + period, choice) for choice in chooser.end()]
    by_visit: dict[str, list[Row]] = {}
    for row in rows:
        by_visit.setdefault(row[2], []).append(row)
    assert all(len(captured) <= most for captured in by_visit.values())
    first_picture = [captured[0] for captured in by_visit.values()]
    quality_of = {f"{second:g}": quality for second, quality in frames.items()}
    stays = _stays(frames)
    assert len(first_picture) == len(stays)
    for (begin, end), (second, picture, *_) in zip(stays, first_picture, strict=True):
        assert begin <= float(picture) <= end
        assert second <= begin + max(FIRST_WITHIN, period) + 1e-9
    for captured in by_visit.values():
        grades = [quality_of[picture] for _, picture, *_ in captured]
        assert grades == sorted(grades)


def _stays(frames: dict[float, float | None]) -> list[tuple[float, float]]:
    """Begin and end of each stay: more than a second and a half without a face ends one."""
    found: list[tuple[float, float]] = []
    for second, quality in frames.items():
        if quality is None:
            continue
        if found and second - found[-1][1] <= 1.5:
            found[-1] = (found[-1][0], second)
        else:
            found.append((second, second))
    return found
