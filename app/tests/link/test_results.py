"""The figures of a run, of small examples."""

import math

import pytest

from benchmarks.link.results import (
    HEADER,
    Captured,
    Result,
    cells,
    delays,
    lost_and_twice,
    percentile,
    stored_between,
)


def face(at: float, fresh: bool = True, size: int = 100) -> Captured:
    return Captured(at, size, f"md5 of {at}", fresh)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        (range(1, 101), 0.5, 50),
        (range(1, 101), 0.99, 99),
        ([3, 1, 2], 0.5, 2),
        ([3, 1, 2], 0.99, 3),
        ([7], 0.5, 7),
        ([1, math.inf], 0.5, 1),
        ([1, math.inf], 0.99, math.inf),
        ([], 0.5, math.inf),
    ],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_only_what_was_stored_meanwhile_counts() -> None:
    captured = {n: face(0, size=10**n) for n in range(5)}
    stored = {0: 9.9, 1: 10.0, 2: 19.9, 3: 20.0, 99: 15.0}
    assert stored_between(captured, stored, 10, 20) == 10 + 100


def test_a_fresh_face_that_was_not_stored_by_the_end_was_never_stored() -> None:
    captured = {
        1: face(5),  # too early
        2: face(10),
        3: face(20, fresh=False),
        4: face(30),  # never stored
        5: face(40),  # stored after the end
        6: face(71),  # too late to be expected
    }
    stored = {1: 6, 2: 12.5, 3: 21, 5: 100.5, 6: 72}
    assert delays(captured, stored, 10, 100, patience=30) == [2.5, math.inf, math.inf]


def test_lost_and_twice_are_counted_by_content() -> None:
    captured = [face(1), face(2), face(3)]
    etags = ["md5 of 1", "md5 of 3", "md5 of 3", "md5 of 3"]
    assert lost_and_twice(captured, etags) == (1, 2)


def test_the_cells_of_a_result() -> None:
    result = Result(
        name="facefleet",
        seconds=120,
        captured=500,
        stored_bytes=1,
        goodput=0.877,
        wire_up=1.0814,
        wire_down=0.0301,
        fresh=30,
        fresh_p50=2.25,
        fresh_p99=math.inf,
        idle_up=10_000,
        idle_down=4_000,
        lost=0,
        twice=0,
        sent=0.95,
        line_lost=100,
        line_dropped=0,
        late=0.0,
    )
    line = dict(zip(HEADER[1:4], cells(result)[1:4], strict=True))
    assert line == {"goodput": "87.7%", "wire/stored up": "1.081", "down": "0.030"}
    assert cells(result)[4:] == ["2.2", "> 120", "10.0", "4.0", "10.1", "0", "0"]
    assert len(cells(result)) == len(HEADER)
