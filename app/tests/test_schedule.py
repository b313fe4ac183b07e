"""Hours of a week."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from facefleet.schedule import EXAMPLE, Schedule

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def active(*entries: str) -> list[str]:
    """The half hours of a week with which the hours begin and end."""
    schedule = Schedule(entries)
    times = [MONDAY + timedelta(minutes=30 * n) for n in range(336)]
    now = [schedule.active(at) for at in times]
    return [
        f"{at:%a %H:%M} {'on' if is_on else 'off'}".lower()
        for at, before, is_on in zip(times, [now[-1], *now], now, strict=False)
        if before != is_on
    ]


def test_hours_of_some_days() -> None:
    assert active("mon-tue 07:00-19:00", "sat 08:30-12:00") == [
        *("mon 07:00 on", "mon 19:00 off", "tue 07:00 on", "tue 19:00 off"),
        *("sat 08:30 on", "sat 12:00 off"),
    ]


def test_hours_over_midnight_begin_on_their_day() -> None:
    assert active("sun,wed 22:00-06:00") == [
        *("mon 06:00 off", "wed 22:00 on", "thu 06:00 off", "sun 22:00 on"),
    ]


def test_days_over_the_weekend() -> None:
    assert active("sat-mon 00:00-24:00") == ["tue 00:00 off", "sat 00:00 on"]


def test_each_entry_has_a_time_zone() -> None:
    assert active("mon 07:00-08:00 Europe/Berlin", "mon 07:00-08:00") == [
        *("mon 06:00 on", "mon 08:00 off"),
    ]


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 7), (10, 25, 9), (6, 7, 8)])
def test_a_night_is_as_long_as_its_clocks_say(month: int, day: int, hours: int) -> None:
    schedule = Schedule(["sat 22:00-06:00 Europe/Berlin"])
    noon = datetime(2026, month, day - 1, 12, tzinfo=BERLIN).astimezone(UTC)
    minutes = [noon + timedelta(minutes=n) for n in range(1440)]
    assert sum(map(schedule.active, minutes)) == 60 * hours


@pytest.mark.parametrize("text", ["", "mon 07:00-19:00", "{}", "[]", "[1]"])
def test_what_is_no_list_has_a_sentence(text: str) -> None:
    sentence = f"give a list of hours as JSON, such as {EXAMPLE}"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Schedule.of_json(text)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        *(
            (entry, f'correct "{entry}": give days, hours and time zone as in {EXAMPLE}')
            for entry in (
                *(
                    "",
                    "mon",
                    "07:00-19:00",
                    "mon 7:00-19:00",
                    "mon 07:00-25:00",
                    "monday 07:00-08:00",
                ),
                *("mon-tue-wed 07:00-08:00", "mon 24:00-08:00", "mon 07:00-08:00 Europe/Berlin x"),
            )
        ),
        (
            "mon 07:00-07:00",
            'correct "mon 07:00-07:00": it ends when it begins; a whole day is 00:00-24:00',
        ),
        (
            "mon 07:00-08:00 Mars/Base",
            "this machine knows no time zone Mars/Base: give one such as UTC",
        ),
        ("mon 07:00-08:00 ../etc", "this machine knows no time zone ../etc: give one such as UTC"),
    ],
)
def test_a_wrong_entry_has_a_sentence(entry: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Schedule([entry])
