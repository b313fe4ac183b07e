"""Hours of a week: of a camera, or of an uplink. Pure: the time is an argument."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXAMPLE = '["mon-fri 07:00-19:00 Europe/Berlin", "sat 22:00-06:00 Europe/Berlin"]'

_DAY = rf"(?:{'|'.join(DAYS)})"
_DAYS = rf"{_DAY}(?:-{_DAY})?"
_HOUR = r"(?:[01]\d|2[0-3]):[0-5]\d"
_ENTRY = re.compile(
    rf"(?P<days>{_DAYS}(?:,{_DAYS})*) (?P<begin>{_HOUR})-(?P<end>{_HOUR}|24:00)(?: (?P<zone>\S+))?"
)


@dataclass(frozen=True)
class _Hours:
    """Hours of some days of a week, in minutes from midnight. They may continue past midnight."""

    days: frozenset[int]  # on which they begin; 0 is Monday
    begin: int
    end: int
    zone: tzinfo

    def include(self, now: datetime) -> bool:
        local = now.astimezone(self.zone)
        minute, today = 60 * local.hour + local.minute, local.weekday()
        if self.begin < self.end:
            return today in self.days and self.begin <= minute < self.end
        began_today = today in self.days and minute >= self.begin
        return began_today or ((today - 1) % 7 in self.days and minute < self.end)


class Schedule:
    """Hours of a week. A day's hours are those that its clocks show, in summer and in winter."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Raises ValueError with a sentence that says which of the entries is wrong."""
        self._hours = [_hours(entry) for entry in entries]

    @classmethod
    def of_json(cls, text: str) -> "Schedule":
        """Read a list of hours. Raises ValueError."""
        try:
            entries = json.loads(text)
        except ValueError:
            entries = None
        if not (isinstance(entries, list) and entries and all(isinstance(e, str) for e in entries)):
            raise ValueError(f"give a list of hours as JSON, such as {EXAMPLE}")
        return cls(entries)

    def active(self, now: datetime) -> bool:
        """Return whether a time, which has a time zone, is within the hours."""
        return any(hours.include(now) for hours in self._hours)


def _hours(entry: str) -> _Hours:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(f'correct "{entry}": give days, hours and time zone as in {EXAMPLE}')
    begin, end = (60 * int(found[key][:2]) + int(found[key][3:]) for key in ("begin", "end"))
    if begin == end:
        raise ValueError(f'correct "{entry}": it ends when it begins; a whole day is 00:00-24:00')
    return _Hours(_days(found["days"]), begin, end, _zone(found["zone"]))


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, *_, last = 2 * [DAYS.index(day) for day in part.split("-")]
        days.update((first + n) % 7 for n in range((last - first) % 7 + 1))
    return frozenset(days)


def _zone(name: str | None) -> tzinfo:
    if name in (None, "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"this machine knows no time zone {name}: give one such as UTC") from error
