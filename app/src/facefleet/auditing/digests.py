"""Read the digests of outboxes from the bucket, and check whose they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from facefleet.auditing.proofs import Proofs
from facefleet.bucket import Bucket
from facefleet.digest import (
    PREFIX,
    Day,
    DigestName,
    Head,
    Sealed,
    content_hash,
    digests_prefix,
)

MAX_EPOCHS = 100  # of a camera: a device could invent any number of them
TRIES = 5  # heads of an outbox to read until one is valid

Verify = Callable[[DigestName, Sealed], str | None]
"""Returns what is wrong with a digest's signature, as the predicate of a sentence, or None."""


@dataclass
class Outbox:
    """The newest valid digest of an outbox."""

    device: str
    camera: str
    epoch: str
    head: Head | None = None
    stored: datetime | None = None  # when the bucket received the head
    days: dict[date, Day] = field(default_factory=dict)
    unreadable: list[date] = field(default_factory=list)  # days of the head without a valid digest
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.device}/{self.camera}/{self.epoch}"

    @property
    def until(self) -> datetime | None:
        """The time of which the digest speaks. The device's clock may be ahead of the bucket's."""
        return min(self.head.time, self.stored) if self.head else None


class Digests:
    """The digests in a bucket."""

    def __init__(self, bucket: Bucket, verify: Verify, proofs: Proofs) -> None:
        self._bucket, self._verify, self._proofs = bucket, verify, proofs

    def cameras(self) -> Iterator[tuple[str, str]]:
        """Yield device and camera of all that have digests or faces, sorted by device."""
        devices = {
            folder.split("/")[1]
            for prefix in (PREFIX, "faces/")
            for folder in self._bucket.folders(prefix)
        }
        for device in sorted(devices):
            found = {
                folder.split("/")[2]
                for prefix in (PREFIX, "faces/")
                for folder in self._bucket.folders(f"{prefix}{device}/")
            }
            yield from ((device, camera) for camera in sorted(found))

    def outboxes(self, device: str, camera: str) -> list[Outbox]:
        """Return the outboxes that a camera has had, the newest last."""
        folders = self._bucket.folders(f"{PREFIX}{device}/{camera}/", MAX_EPOCHS)
        found = [self._outbox(device, camera, folder.split("/")[3]) for folder in folders]
        return sorted(found, key=lambda outbox: outbox.stored.timestamp() if outbox.stored else 0)

    def _outbox(self, device: str, camera: str, epoch: str) -> Outbox:
        outbox = Outbox(device, camera, epoch)
        prefix = digests_prefix(device, camera, epoch, "head")
        keys = [key for key, _ in self._bucket.entries(prefix) if DigestName.parse(key)][-TRIES:]
        for key in reversed(keys):
            if self._read_head(outbox, DigestName.parse(key)):
                self._read_days(outbox)
                break
        return outbox

    def _read_head(self, outbox: Outbox, name: DigestName) -> bool:
        found = self._read(outbox, name)
        if found is None:
            return False
        payload, outbox.stored = found
        head = Head.decode(payload)
        if head is None or head.name(*name[:3]) != name:
            outbox.problems.append(f"the digest {name} is not valid")
            return False
        newest = self._proofs.newest(outbox.name, head.number)
        if head.number < newest:
            outbox.problems.append(
                f"the newest digest of epoch {outbox.epoch} is older than one that an earlier "
                "audit has seen: someone has deleted digests from the bucket"
            )
        outbox.head = head
        return True

    def _read_days(self, outbox: Outbox) -> None:
        names = outbox.head.day_names(outbox.device, outbox.camera, outbox.epoch)
        for day, name in names.items():
            digest = self._proofs.day(outbox.name, day, name) or self._read_day(outbox, day, name)
            if digest:
                outbox.days[day] = digest
            else:
                outbox.unreadable.append(day)

    def _read_day(self, outbox: Outbox, day: date, name: DigestName) -> Day | None:
        found = self._read(outbox, name)
        if found is None:
            return None
        payload, _ = found
        digest = Day.decode(payload)
        if digest is None or digest.day != day or not name.name.endswith(content_hash(payload)):
            outbox.problems.append(f"the digest {name} is not valid")
            return None
        self._proofs.keep(outbox.name, name, digest)
        return digest

    def _read(self, outbox: Outbox, name: DigestName) -> tuple[bytes, datetime] | None:
        """Return the payload of a digest if its signature is good, and when it was stored."""
        found = self._bucket.read(str(name), largest=None)
        if found is None:
            outbox.problems.append(f"the digest {name} is not in the bucket")
            return None
        sealed = Sealed.decode(found.content)
        if sealed is None:
            outbox.problems.append(f"the digest {name} is not valid")
            return None
        if problem := self._verify(name, sealed):
            outbox.problems.append(f"the digest {name} {problem}")
            return None
        return sealed.payload, found.stored
