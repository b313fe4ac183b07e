"""The frame rate that is reached, in simulated time."""

import pytest
from facefleet.vision.rate import FrameRate


def play(rate: FrameRate, began: float, seconds: float, period: float, work: float) -> list:
    """A frame each `period`, with `work` seconds for each; what changed."""
    changes = []
    now = began
    while now < began + seconds:
        rate.looked(now, now + work)
        changes.append(rate.change(now + work))
        now += period
    return [change for change in changes if change is not None]


def test_nothing_is_said_before_there_was_time_to_tell() -> None:
    rate = FrameRate(5, 0)
    assert play(rate, 0, 7, period=2, work=2) == []
    assert rate.reached(9.9) is None


def test_what_keeps_up_is_measured_and_not_told() -> None:
    rate = FrameRate(5, 0)
    assert play(rate, 0, 60, period=0.2, work=0.05) == []
    assert rate.reached(60) == pytest.approx(5, abs=0.2)


def test_a_machine_that_is_too_slow_is_told_once() -> None:
    rate = FrameRate(5, 0)
    ((slow, sentence),) = play(rate, 0, 60, period=1.15, work=1.1)
    assert slow
    assert sentence.startswith("only 0.9 of 5 frames per second: detection takes 1.10 s per frame;")
    assert rate.reached(60) == pytest.approx(0.9, abs=0.1)


def test_a_camera_that_sends_less_is_told_as_such() -> None:
    rate = FrameRate(5, 0)
    ((slow, sentence),) = play(rate, 0, 60, period=1, work=0.1)
    assert slow
    assert "the camera sends no more" in sentence


def test_it_is_told_when_it_keeps_up_again_and_not_at_every_turn() -> None:
    rate = FrameRate(10, 0)
    changes = play(rate, 0, 30, period=0.2, work=0.01)
    changes += play(rate, 30, 30, period=0.145, work=0.01)  # between low and fair
    changes += play(rate, 60, 30, period=0.1, work=0.01)
    assert [slow for slow, _ in changes] == [True, False]


def test_the_time_that_a_camera_was_away_does_not_count() -> None:
    rate = FrameRate(5, 0)
    play(rate, 0, 20, period=0.2, work=0.05)
    rate.restarted(600)
    assert rate.reached(601) is None
    assert play(rate, 600, 20, period=0.2, work=0.05) == []


def test_few_frames_are_looked_back_on_for_longer() -> None:
    rate = FrameRate(0.1, 0)
    assert play(rate, 0, 200, period=10, work=1) == []
    assert rate.reached(200) == pytest.approx(0.1)


def test_it_says_so_when_frames_no_longer_come() -> None:
    rate = FrameRate(5, 0)
    play(rate, 0, 20, period=0.2, work=0.05)
    assert rate.reached(60) == 0
