"""The hours of the day in which a device may send faces."""

import re
from datetime import UTC, datetime

import pytest
from facefleet.hours import Hours

WINTER, SUMMER = (2026, 1, 15), (2026, 7, 15)
EXAMPLE = 'give hours such as "22-06" (UTC) or "22:30-06:00 Europe/Berlin"'


@pytest.mark.parametrize(
    ("text", "day", "within", "outside"),
    [
        ("22-06", WINTER, ["22:00", "23:59", "00:00", "05:59"], ["06:00", "12:00", "21:59"]),
        ("8:30-17", WINTER, ["08:30", "16:59"], ["08:29", "17:00", "00:00"]),
        ("22-06 Europe/Berlin", WINTER, ["21:00", "04:59"], ["20:59", "05:00"]),
        ("22-06 Europe/Berlin", SUMMER, ["20:00", "03:59"], ["19:59", "04:00"]),
        ("0-6 Asia/Kolkata", WINTER, ["18:30", "00:29"], ["18:29", "00:30"]),
    ],
)
def test_a_time_is_within_the_hours_or_outside(
    text: str, day: tuple[int, int, int], within: list[str], outside: list[str]
) -> None:
    hours = Hours.parse(text)
    for clock in within + outside:
        at = datetime(*day, *map(int, clock.split(":")), tzinfo=UTC)
        assert hours.include(at) == (clock in within), clock


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", EXAMPLE),
        ("22", EXAMPLE),
        ("24-6", EXAMPLE),
        ("22-6:60", EXAMPLE),
        ("22-06  UTC", EXAMPLE),
        ("6-06:00", "the hours end when they begin: give another end"),
        ("22-06 Mars/Base", "there is no time zone Mars/Base: give one such as UTC"),
        ("22-06 ../../etc/passwd", "there is no time zone ../../etc/passwd: give one such as UTC"),
        ("22-06 Europe", "there is no time zone Europe: give one such as UTC"),
    ],
)
def test_what_are_no_hours_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        Hours.parse(text)
