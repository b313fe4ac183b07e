"""When the limit of the bytes in flight falls."""

import random

import pytest
from facefleet.delivery.pace import QUEUE, QUEUE_FLOOR, RECENT, START, UNIT, Pace

IDLE = 0.8  # seconds of a round trip on the idle link


@pytest.fixture
def pace() -> Pace:
    pace = Pace(256, random.Random(1))
    pace.restart(START)
    answer(pace, IDLE, RECENT)
    return pace


def answer(pace: Pace, trip: float, faces: int) -> None:
    for _ in range(faces):
        pace.measured(trip, pace.limit)
        pace.confirmed(UNIT)


def test_faces_behind_a_repeated_packet_do_not_lower_the_limit(pace: Pace) -> None:
    for _ in range(10):
        before = pace.limit
        answer(pace, IDLE + 4 * QUEUE, RECENT - 1)
        answer(pace, IDLE + QUEUE / 2, 1)
        assert pace.limit >= before


def test_a_queue_that_delays_every_face_lowers_the_limit(pace: Pace) -> None:
    answer(pace, IDLE + 2 * QUEUE, RECENT - 1)
    before = pace.limit
    answer(pace, IDLE + 2 * QUEUE, 4)
    assert pace.limit < before - UNIT
    answer(pace, IDLE + 2 * QUEUE, 1000)
    assert pace.limit >= QUEUE_FLOOR * UNIT


def test_the_limit_falls_no_further_once_a_face_was_faster(pace: Pace) -> None:
    answer(pace, IDLE + 2 * QUEUE, RECENT + 4)
    before = pace.limit
    answer(pace, IDLE + QUEUE / 2, 1)
    assert pace.limit >= before
