"""Hours of the day in which a device may send faces."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

_TIME = r"([01]?\d|2[0-3])(?::([0-5]\d))?"
_HOURS = re.compile(rf"{_TIME}-{_TIME}(?: (\S+))?", re.ASCII)


@dataclass(frozen=True)
class Hours:
    """From `begin` until before `end`, over midnight if that is earlier."""

    begin: time
    end: time
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """Parse hours such as "22-06" (UTC) or "22:30-06:00 Europe/Berlin". Raises ValueError."""
        found = _HOURS.fullmatch(text)
        if found is None:
            raise ValueError('give hours such as "22-06" (UTC) or "22:30-06:00 Europe/Berlin"')
        begin, end = (time(int(found[n]), int(found[n + 1] or 0)) for n in (1, 3))
        if begin == end:
            raise ValueError("the hours end when they begin: give another end")
        name = found[5] or "UTC"
        try:
            return cls(begin, end, ZoneInfo(name))
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {name}: give one such as UTC") from error

    def include(self, at: datetime) -> bool:
        """Return whether a time (with its zone) is within the hours."""
        now = at.astimezone(self.zone).time()
        if self.begin < self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end
