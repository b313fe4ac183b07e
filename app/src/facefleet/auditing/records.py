"""Read the bucket's records of erasures."""

from collections.abc import Callable, Sequence
from datetime import date

from facefleet.auditing.erasure_records import RECORDS, Erasure
from facefleet.auditing.hours import Ranges
from facefleet.bucket import Bucket
from facefleet.errors import FacefleetError, printable


class Records:
    """The records of a bucket. They are listed for each device, but read only once."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._erasures: dict[str, Erasure] = {}  # by key; a record never changes

    def of(self, device: str) -> list[Erasure]:
        """Return the erasures that may include faces of the device. Raises FacefleetError."""
        found = []
        for key, _ in self._bucket.entries(RECORDS):
            erasure = Erasure.parse(key)
            if erasure is None or erasure.scope.device not in (None, device):
                continue
            if key not in self._erasures:
                self._erasures[key] = self._read(key, erasure)
            found.append(self._erasures[key])
        return found

    def _read(self, key: str, erasure: Erasure) -> Erasure:
        record = self._bucket.read(key, largest=None)
        if record is None:
            raise FacefleetError(
                f"bucket {self._bucket.name}: {key} has just been removed: run this again"
            )
        try:
            return erasure.read(record.content)
        except (ValueError, TypeError, AttributeError) as error:
            raise FacefleetError(
                f"bucket {self._bucket.name}: {printable(key)} is not a valid record of an erasure "
                f"({error}): restore the version that `facefleet erase` wrote"
            ) from error


class Absences:
    """How many faces of an outbox may be absent from the bucket because they were erased.

    A digest has no seqs, so the number decides: each erased face explains one absence.
    """

    UNLIMITED = 1 << 62  # an old record does not say how many

    def __init__(self, erasures: Sequence[Erasure], outbox: str) -> None:
        """`outbox`: device/camera/epoch."""
        self._erasures = erasures
        self._outbox = outbox
        self._explained: dict[date, int] = {}

    def left(self, day: date) -> int:
        """Return how many absences of a day's faces (UTC) erasures still explain."""
        if self._covers(day):
            return self.UNLIMITED
        here = len(self._seqs(day)) - self._explained.get(day, 0)
        return min(here, len(self._seqs()) - sum(self._explained.values()))

    def is_erased(self, day: date) -> Callable[[int], bool]:
        """Return what tells whether the face with a seq, captured on that day, was erased."""
        if self._covers(day):
            return lambda _: True
        return self._seqs(day).__contains__

    def explain(self, day: date, faces: int) -> None:
        self._explained[day] = self._explained.get(day, 0) + faces

    def _covers(self, day: date) -> bool:
        """Return whether an old record, without faces, covers the day."""
        return any(
            erasure.faces is None and erasure.scope.day in (None, day) and day <= erasure.at.date()
            for erasure in self._erasures
        )

    def _seqs(self, day: date | None = None) -> Ranges:
        """Return the erased seqs of all records, or of those that cover a day."""
        return Ranges(
            pair
            for erasure in self._erasures
            if day is None or erasure.scope.day in (None, day)
            for pair in (erasure.faces or {}).get(self._outbox, ())
        )
