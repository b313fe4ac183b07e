"""What is erased from the bucket: whose faces, and the record that stays of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from facefleet.errors import FacefleetError
from facefleet.names import FaceName, is_label

RECORDS = "erased/"
_TIME = "%Y-%m-%dT%H%M%S.%fZ"
_ALL = "all."  # no device's name, and no day


@dataclass(frozen=True, slots=True)
class Scope:
    """A device's faces, a day's, or a device's of one day; days are UTC's, as in a face's name."""

    device: str | None
    day: date | None

    @classmethod
    def read(cls, device: str | None, day: str | None) -> "Scope":
        """From what a person has typed. Raises FacefleetError."""
        if device is None and day is None:
            raise FacefleetError("say whose faces to erase: by --device, by --day, or by both")
        if device is not None and not is_label(device):
            raise FacefleetError(
                f"{device!r} is not a device's name: use a-z, 0-9 and inner hyphens"
            )
        found = _day(day) if day is not None else None
        if day is not None and found is None:
            raise FacefleetError(f"{day!r} is not a day: give one as 2026-02-28")
        return cls(device, found)

    def __str__(self) -> str:
        whose = f"device {self.device}" if self.device else "every device"
        return f"{whose}, {f'on {self.day} (UTC)' if self.day else 'every day'}"

    def covers(self, face: FaceName) -> bool:
        return self.device in (None, face.device) and self.day in (None, face.captured.date())

    def record(self, at: datetime) -> str:
        """The key of the empty object that says what was erased, and when."""
        return f"{RECORDS}{at:{_TIME}}/{self.device or _ALL}/{self.day or _ALL}"


@dataclass(frozen=True, slots=True)
class Erasure:
    """That a scope was erased: what had been captured by then."""

    scope: Scope
    at: datetime

    @classmethod
    def parse(cls, key: str) -> "Erasure | None":
        """The erasure that a record's key spells, or None where it is not one."""
        parts = key.removeprefix(RECORDS).split("/")
        if not key.startswith(RECORDS) or len(parts) != 3:
            return None
        try:
            at = datetime.strptime(parts[0], _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None
        device, day = (None if part == _ALL else part for part in parts[1:])
        found = cls(Scope(device, _day(day) if day else None), at)
        return found if found.scope.record(at) == key else None


def erased(face: FaceName, erasures: Iterable[Erasure]) -> bool:
    """Whether one of them explains that a face is not in the bucket."""
    return any(one.scope.covers(face) and face.captured <= one.at for one in erasures)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"[1-9]\d{3}-\d\d-\d\d", text) else None
    except ValueError:  # the 31st of February
        return None
