"""How much of each day a camera saw."""

from datetime import date, timedelta

import pytest
from facefleet.delivery.coverage import Range
from facefleet.delivery.outbox import days
from facefleet.tools.cameras import about
from facefleet.tools.coverage import NOT_RUNNING, by_day, table_rows
from facefleet.views import OFF, SEEN

FIRST = date(2026, 11, 23)
MIDNIGHT = days(FIRST) * 1440
HOUR = 60  # minutes


def shown(*ranges: tuple[int, int, str, int]) -> list[tuple[str, str | None, str | None]]:
    """The table of ranges (first and last minute since `FIRST`, state, seconds)."""
    rows = [Range(MIDNIGHT + first, MIDNIGHT + last, *rest) for first, last, *rest in ranges]
    return table_rows(by_day(rows, FIRST, FIRST + timedelta(days=28)))


def test_good_days_share_a_row() -> None:
    assert shown((0, 5 * 1440 - 1, SEEN, 60)) == [("2026-11-23 to 2026-11-27", "100.0%", None)]
    assert shown((0, 1439, SEEN, 60)) == [("2026-11-23", "100.0%", None)]


def test_a_day_says_why_a_camera_did_not_see_longest_first() -> None:
    assert shown(
        (0, 1399, SEEN, 60),
        (1400, 1408, "dark", 60),
        (1409, 1439, "no stream", 60),
    ) == [("2026-11-23", "97.2%", "no stream 31 min, dark 9 min")]


def test_the_first_and_the_last_day_count_from_and_until_the_records() -> None:
    assert shown((14 * HOUR + 2, 1440 + 4 * HOUR + 19, SEEN, 60)) == [
        ("2026-11-23 from 14:02", "100.0%", None),
        ("2026-11-24 until 04:20", "100.0%", None),
    ]


def test_what_was_recorded_before_the_audited_days_makes_the_first_one_complete() -> None:
    assert shown((-5000, 1439, SEEN, 60)) == [("2026-11-23", "100.0%", None)]
    assert shown((-5000, -1, SEEN, 60)) == []


def test_a_detector_that_did_not_run_has_not_seen() -> None:
    assert shown((0, 1259, SEEN, 60), (4 * 1440, 4 * 1440 + 719, SEEN, 60)) == [
        ("2026-11-23", "87.5%", f"{NOT_RUNNING} 3 h"),
        ("2026-11-24 to 2026-11-26", "0.0%", f"{NOT_RUNNING} 24 h"),
        ("2026-11-27 until 12:00", "100.0%", None),
    ]


def test_a_restart_costs_seconds() -> None:
    assert shown((0, 699, SEEN, 60), (700, 700, SEEN, 52), (701, 1439, SEEN, 60)) == [
        ("2026-11-23", "99.9%", f"{NOT_RUNNING} 8 s")
    ]


def test_the_schedule_is_no_fault() -> None:
    assert shown((0, 719, OFF, 60), (720, 1439, SEEN, 60)) == [
        ("2026-11-23", "100.0%", f"{OFF} 12 h")
    ]
    assert shown((0, 1439, OFF, 60)) == [("2026-11-23", None, f"{OFF} 24 h")]
    assert shown((0, 719, OFF, 60), (720, 1079, SEEN, 60), (1080, 1439, "dark", 60)) == [
        ("2026-11-23", "50.0%", f"{OFF} 12 h, dark 6 h")
    ]


def test_what_a_wrong_clock_recorded_is_left_out() -> None:
    assert shown(
        (-20_000_000, -19_999_000, SEEN, 60), (0, 1439, SEEN, 60), (10**12, 10**15, SEEN, 60)
    ) == [("2026-11-23", "100.0%", None)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 s"),
        (89, "89 s"),
        (90, "2 min"),
        (1860, "31 min"),
        (7170, "2 h"),
        (7260, "2 h 1 min"),
        (86_400, "24 h"),
    ],
)
def test_a_duration_is_short(seconds: int, text: str) -> None:
    assert about(seconds) == text
