"""The scope of an erasure, and the record of it that remains in the bucket."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from facefleet.delivery.outbox import ranges
from facefleet.errors import FacefleetError
from facefleet.protocol import FaceName, is_label

RECORDS = "erased/"
_TIME = "%Y-%m-%dT%H%M%S.%fZ"
_ALL = "all."  # neither a valid device name nor a day


@dataclass(frozen=True, slots=True)
class Scope:
    """The faces of a device, of a day (UTC, as in a face's name), or of a device on a day."""

    device: str | None
    day: date | None

    @classmethod
    def read(cls, device: str | None, day: str | None) -> "Scope":
        """Parse a user's input. Raises FacefleetError."""
        if device is None and day is None:
            raise FacefleetError("no faces selected: pass --device, --day, or both")
        if device is not None and not is_label(device):
            raise FacefleetError(
                f"{device!r} is not a valid device name: use a-z, 0-9 and inner hyphens"
            )
        found = _day(day) if day is not None else None
        if day is not None and found is None:
            raise FacefleetError(f"{day!r} is not a day: give a date such as 2026-02-28")
        return cls(device, found)

    def __str__(self) -> str:
        whose = f"device {self.device}" if self.device else "every device"
        return f"{whose}, {f'on {self.day} (UTC)' if self.day else 'every day'}"

    def covers(self, face: FaceName) -> bool:
        return self.device in (None, face.device) and self.day in (None, face.captured.date())

    def record(self, at: datetime) -> str:
        """Return the key of the object that records what was erased, and when."""
        return f"{RECORDS}{at:{_TIME}}/{self.device or _ALL}/{self.day or _ALL}"


@dataclass(frozen=True, slots=True)
class Erasure:
    """The erasure of a scope.

    `faces` has the first and last seqs of the deleted ranges, by device/camera/epoch. It is None
    for older records without names, which stand for all faces captured until then.
    """

    scope: Scope
    at: datetime
    faces: dict[str, list[tuple[int, int]]] | None = None

    @classmethod
    def parse(cls, key: str) -> "Erasure | None":
        """Parse the key of a record; return None if it is not one."""
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

    def read(self, body: bytes) -> "Erasure":
        """Return this erasure with the faces in the record's body. Raises ValueError."""
        if not body:
            return self
        faces = {outbox: [(a, b) for a, b in seqs] for outbox, seqs in json.loads(body).items()}
        return replace(self, faces=faces)

    def explains(self, face: FaceName) -> bool:
        """Return whether a face is missing from the bucket because of this erasure.

        The time in a face's name is from its device's clock, which may be wrong.
        """
        if self.faces is None:
            return self.scope.covers(face) and face.captured <= self.at
        seqs = self.faces.get(_outbox(face), ())
        return any(first <= face.seq <= last for first, last in seqs)


class Faces:
    """The faces that a record names, of which there may be millions."""

    def __init__(self, faces: Iterable[FaceName] = ()) -> None:
        self._seqs: dict[str, set[int]] = {}  # by device/camera/epoch
        for face in faces:
            self.add(face)

    def add(self, face: FaceName) -> None:
        self._seqs.setdefault(_outbox(face), set()).add(face.seq)

    def __contains__(self, face: FaceName) -> bool:
        return face.seq in self._seqs.get(_outbox(face), ())

    def body(self) -> bytes:
        """Return the record's content, which `Erasure.read` parses."""
        named = {outbox: ranges(sorted(seqs)) for outbox, seqs in self._seqs.items()}
        return json.dumps(named, separators=(",", ":")).encode()


def _outbox(face: FaceName) -> str:
    return f"{face.device}/{face.camera}/{face.epoch}"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"[1-9]\d{3}-\d\d-\d\d", text) else None
    except ValueError:  # such as 31 February
        return None
