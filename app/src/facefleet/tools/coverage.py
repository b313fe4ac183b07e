"""Sum up the coverage of a camera by day, for the audit: how much of each day it saw."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from facefleet.delivery.coverage import MINUTE, MINUTES_A_DAY, Range
from facefleet.delivery.outbox import EPOCH_ZERO, days
from facefleet.tools.cameras import about
from facefleet.views import OFF, SEEN

NOT_RUNNING = "detector not running"


@dataclass
class Day:
    """A day (UTC), or the part of it between the first and the last minute that was recorded."""

    day: str  # ISO
    begin: str  # HH:MM
    end: str  # HH:MM, excluded; 24:00 is midnight
    seconds: int  # in which the camera was to see
    seen: int  # seconds
    not_seen: dict[str, int] = field(default_factory=dict)  # seconds by state, longest first

    @property
    def is_complete(self) -> bool:
        return (self.begin, self.end) == ("00:00", "24:00")

    @property
    def share(self) -> str | None:
        """How much was seen, rounded down; None if the camera was off by schedule all the time."""
        if not self.seconds:
            return None
        return f"{1000 * self.seen // self.seconds / 10:.1f}%"

    @property
    def reasons(self) -> str:
        return ", ".join(f"{state} {about(each)}" for state, each in self.not_seen.items())


def by_day(recorded: Iterable[Range], first: date, last: date) -> list[Day]:
    """Sum up what was recorded on the days from `first` to `last`, each of which is included.

    A clock that was wrong has recorded other days, which count for nothing here.
    """
    begin, end = days(first) * MINUTES_A_DAY, (days(last) + 1) * MINUTES_A_DAY
    rows = [
        Range(max(row.first, begin), min(row.last, end - 1), row.state, row.seconds)
        for row in recorded
        if row.first < end and row.last >= begin
    ]
    if not rows:
        return []
    begin, end = min(row.first for row in rows), max(row.last for row in rows) + 1
    sums: dict[int, dict[str, int]] = {
        day: {} for day in range(begin // MINUTES_A_DAY, (end - 1) // MINUTES_A_DAY + 1)
    }
    for row in rows:
        for day in range(row.first // MINUTES_A_DAY, row.last // MINUTES_A_DAY + 1):
            of_day = sums[day]
            minutes = _common(row.first, row.last + 1, day)
            of_day[row.state] = of_day.get(row.state, 0) + row.seconds * len(minutes)
    return [_day(day, seconds, _common(begin, end, day)) for day, seconds in sums.items()]


def table_rows(found: list[Day]) -> list[tuple[str, str | None, str | None]]:
    """Return (days, share, reasons) for a table. Successive days that are alike share a row."""
    groups: list[list[Day]] = []
    for day in found:
        alike = groups and all(d.is_complete for d in (groups[-1][0], day))
        if alike and (groups[-1][0].share, groups[-1][0].not_seen) == (day.share, day.not_seen):
            groups[-1].append(day)
        else:
            groups.append([day])
    return [(_when(days), days[0].share, days[0].reasons or None) for days in groups]


def _common(begin: int, end: int, day: int) -> range:
    """Return the minutes of a day between two minutes."""
    return range(max(begin, day * MINUTES_A_DAY), min(end, (day + 1) * MINUTES_A_DAY))


def _day(number: int, seconds: dict[str, int], minutes: range) -> Day:
    missing = len(minutes) * MINUTE - sum(seconds.values())
    bad = {state: each for state, each in seconds.items() if state != SEEN}
    if missing > 0:
        bad[NOT_RUNNING] = missing
    midnight = number * MINUTES_A_DAY
    return Day(
        day=(EPOCH_ZERO.date() + timedelta(days=number)).isoformat(),
        begin=_time(minutes.start - midnight),
        end=_time(minutes.stop - midnight),
        seconds=len(minutes) * MINUTE - seconds.get(OFF, 0),
        seen=seconds.get(SEEN, 0),
        not_seen=dict(sorted(bad.items(), key=lambda item: -item[1])),
    )


def _time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _when(found: list[Day]) -> str:
    first, last = found[0], found[-1]
    if first is not last:
        return f"{first.day} to {last.day}"
    begin = "" if first.begin == "00:00" else f" from {first.begin}"
    end = "" if first.end == "24:00" else f" until {first.end}"
    return first.day + begin + end
