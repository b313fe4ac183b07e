"""Hold the digests of a fleet's outboxes against the bucket, a camera at a time.

The bucket is listed in pages, and an hour of one camera is held in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from facefleet.auditing.digests import Digests, Outbox
from facefleet.auditing.hours import Finding, Listed, Ranges, Verdict, compare_lines, judge
from facefleet.auditing.listing import MAX_LISTED, Faces, by_hour, of_hour
from facefleet.auditing.proofs import Proofs
from facefleet.auditing.records import Absences, Records
from facefleet.bucket import Bucket
from facefleet.delivery.outbox import LEDGER_DAYS
from facefleet.digest import Hour, Line, hash_of
from facefleet.errors import printable
from facefleet.protocol import PROBE, camera_prefix

HOUR = timedelta(hours=1)
SHOWN = 20  # sentences about hours of one camera
_NONE = Hour(0, hash_of(()))
_COUNTS = ("captured", "stored", "pending", "quarantined", "dead", "evicted", "dropped")


class Asker(Protocol):
    """Asks detectors for what their digests do not say."""

    def lines(self, device: str, camera: str, epoch: str, hour: datetime) -> list[Line] | None:
        """Return the lines of an hour, or None if the device does not answer."""


@dataclass
class Account:
    """What the audit found of one camera."""

    camera: str  # device/camera
    epochs: list[str] = field(default_factory=list)  # of its outboxes
    captured: int = 0
    stored: int = 0
    pending: int = 0
    quarantined: int = 0
    dead: int = 0
    evicted: int = 0
    dropped: int = 0
    listed: int = 0  # faces that this audit has listed
    erased: int = 0  # confirmed faces that are absent because they were erased
    missing: int = 0  # confirmed faces that are absent
    unexpected: int = 0  # faces in the bucket that no outbox knows
    unchecked: int = 0  # confirmed faces of hours that may have expired
    digest: datetime | None = None  # time of the newest digest
    proved_until: datetime | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return not self.problems


class FleetAudit:
    """The audit of all cameras. Raises FacefleetError if the bucket cannot be read.

    `retention_days`: how long the bucket keeps faces. `proofs`: of earlier audits.
    """

    def __init__(
        self,
        bucket: Bucket,
        digests: Digests,
        proofs: Proofs,
        retention_days: int,
        asker: Asker | None = None,
    ) -> None:
        self.bucket, self.proofs, self.asker = bucket, proofs, asker
        self.records = Records(bucket)
        # Since then, neither the bucket's lifecycle nor an outbox has deleted anything.
        self.since = datetime.now(UTC) - timedelta(days=min(LEDGER_DAYS - 1, retention_days))
        self._digests = digests

    def accounts(self) -> Iterator[Account]:
        """Yield the account of each camera."""
        self.proofs.forget_before(self.since.date())
        for device, camera in self._digests.cameras():
            if camera != PROBE:
                yield self._account(device, camera)

    def _account(self, device: str, camera: str) -> Account:
        outboxes = self._digests.outboxes(device, camera)
        account = Account(f"{device}/{camera}", [outbox.epoch for outbox in outboxes])
        if not outboxes:
            account.problems.append(
                "no digest is in the bucket: check that the camera's detector runs, and that the "
                "device has the version of the cloud"
            )
        for outbox in outboxes:
            _add(account, outbox, is_newest=outbox is outboxes[-1])
        hours = _Hours(self, account, {box.epoch: box for box in outboxes if box.head})
        hours.run()
        unreadable = [day for outbox in outboxes for day in outbox.unreadable]
        midnights = [datetime.combine(day, datetime.min.time(), UTC) for day in unreadable]
        if account.digest and all(outbox.head and outbox.head.adds_up for outbox in outboxes):
            account.proved_until = min([account.digest, *hours.doubtful, *midnights])
        return account


def _add(account: Account, outbox: Outbox, *, is_newest: bool) -> None:
    """Add the counts of an outbox, and what is wrong with its digest."""
    account.problems += outbox.problems
    head = outbox.head
    if head is None:
        return
    for name in _COUNTS:
        setattr(account, name, getattr(account, name) + getattr(head, name))
    if is_newest:
        account.digest = outbox.until
    elif head.pending:
        account.notes.append(
            f"{head.pending:,} faces were not confirmed yet when the outbox with epoch "
            f"{outbox.epoch} was replaced"
        )
    if not head.adds_up:
        account.problems.append(f"the counts of the outbox {outbox.epoch} do not add up")
    lines = sum(hour.lines for day in outbox.days.values() for hour in day.hours.values())
    if not (outbox.unreadable or head.days_omitted) and lines != head.lines:
        account.problems.append(
            f"the outbox {outbox.epoch} has records of {lines:,} faces where it should have "
            f"{head.lines:,}: another program has changed its file"
        )


class _Hours:
    """The hours of one camera, held against the listing."""

    def __init__(self, audit: FleetAudit, account: Account, outboxes: dict[str, Outbox]) -> None:
        self._audit, self._account, self._outboxes = audit, account, outboxes
        self._device, _, self._camera = account.camera.partition("/")
        self._prefix = camera_prefix(self._device, self._camera)
        self._erasures = audit.records.of(self._device)
        self._absences = {
            epoch: Absences(self._erasures, outbox.name) for epoch, outbox in outboxes.items()
        }
        self._gone = {epoch: Ranges(outbox.head.gone) for epoch, outbox in outboxes.items()}
        self._proved: dict[tuple[str, date], set[int]] = {}  # by epoch and day
        self._doubts = 0
        self.doubtful: list[datetime] = []  # the beginnings of hours that are not proved

    def run(self) -> None:
        claims = self._claims()
        for outbox in self._outboxes.values():
            for day in outbox.days:
                self._proved[outbox.epoch, day] = self._audit.proofs.proved(outbox.name, day)
        skipped = {hour for hour, by_epoch in claims.items() if self._is_proved(hour, by_epoch)}
        left = {hour: by_epoch for hour, by_epoch in claims.items() if hour not in skipped}
        for hour, faces in by_hour(self._audit.bucket, self._prefix, list(claims), skipped):
            self._judge(hour, left.pop(hour, claims.get(hour, {})), faces)
        for hour, by_epoch in left.items():
            self._judge(hour, by_epoch, {})
        for (epoch, day), hours in self._proved.items():
            self._audit.proofs.prove(self._outboxes[epoch].name, day, hours)
        if self._doubts > SHOWN:
            self._account.problems.append(f"{self._doubts - SHOWN:,} more hours are not proved")

    def _claims(self) -> dict[str, dict[str, Hour]]:
        """Return the claim of each outbox, by hour, as in keys and ascending, and by epoch."""
        found: dict[str, dict[str, Hour]] = {}
        for epoch, outbox in self._outboxes.items():
            for day, digest in outbox.days.items():
                for hour, claim in digest.hours.items():
                    found.setdefault(f"{day:%Y/%m/%d}/{hour:02}", {})[epoch] = claim
        return dict(sorted(found.items()))

    def _is_proved(self, hour: str, by_epoch: dict[str, Hour]) -> bool:
        start = _start(hour)
        return all(start.hour in self._proved[epoch, start.date()] for epoch in by_epoch)

    def _judge(self, hour: str, claims: dict[str, Hour], faces: Faces) -> None:
        start = _start(hour)
        for epoch in {**claims, **faces}:
            listed = faces.get(epoch, [])
            self._account.listed += len(listed)
            if start is None or epoch not in self._outboxes:
                self._report_strangers(start, epoch, listed)
            elif len(listed) >= MAX_LISTED:
                self._doubt(start, f"more than {MAX_LISTED:,} faces of {_when(start)}: not judged")
            else:
                self._judge_outbox(start, self._outboxes[epoch], claims.get(epoch, _NONE), listed)

    def _report_strangers(
        self, start: datetime | None, epoch: str | None, listed: list[Listed]
    ) -> None:
        if start is not None and start < self._audit.since:
            return
        self._account.unexpected += len(listed)
        if epoch is None:
            what = f"{len(listed):,} objects that are no faces, such as {printable(listed[0].tag)}"
        else:
            what = (
                f"{len(listed):,} faces of {_when(start)} from an outbox without a digest (epoch "
                f"{epoch})"
            )
        self._doubt(start, what)

    def _judge_outbox(
        self, start: datetime, outbox: Outbox, claim: Hour, listed: list[Listed]
    ) -> None:
        day, epoch = start.date(), outbox.epoch
        absences, proved = self._absences[epoch], self._proved.setdefault((epoch, day), set())
        captured, gone = outbox.head.captured, self._gone[epoch]
        finding = judge(claim, listed, captured, gone, absences.left(day))
        if finding.verdict is Verdict.BALANCED:
            proved.add(start.hour)
            return
        proved.discard(start.hour)
        if start < self._audit.since:
            self._account.unchecked += claim.stored
            return
        if not finding.verdict.proves and (lines := self._ask(start, epoch)) is not None:
            # Listed again, because the lines may be newer than the first listing.
            faces = of_hour(self._audit.bucket, self._prefix, f"{start:%Y/%m/%d/%H}")
            is_erased = absences.is_erased(day)
            finding = compare_lines(lines, faces.get(epoch, []), captured, gone, is_erased)
        if finding.verdict is Verdict.ERASED:
            absences.explain(day, finding.faces)
            self._account.erased += finding.faces
        elif finding.verdict is Verdict.MISSING:
            self._account.missing += finding.faces
        elif finding.verdict is Verdict.UNEXPECTED:
            self._account.unexpected += finding.faces
        if not finding.verdict.proves:
            self._doubt(start, _sentence(start, finding))

    def _ask(self, start: datetime, epoch: str) -> list[Line] | None:
        asker = self._audit.asker
        return asker.lines(self._device, self._camera, epoch, start) if asker else None

    def _doubt(self, start: datetime | None, sentence: str) -> None:
        if start is not None:
            self.doubtful.append(start)
        self._doubts += 1
        if self._doubts <= SHOWN:
            self._account.problems.append(sentence)


def _start(hour: str) -> datetime | None:
    """Parse an hour as in a key."""
    try:
        return datetime.strptime(hour, "%Y/%m/%d/%H").replace(tzinfo=UTC)
    except ValueError:
        return None


def _when(start: datetime) -> str:
    return f"{start:%Y-%m-%d %H:00} to {start + HOUR:%H:00} UTC"


def _sentence(start: datetime, finding: Finding) -> str:
    number, when = f"{finding.faces:,}", _when(start)
    which = f" (numbers {', '.join(map(str, finding.seqs))})" if finding.seqs else ""
    match finding.verdict:
        case Verdict.MISSING:
            return f"{number} confirmed faces of {when} are not in the bucket{which}"
        case Verdict.UNEXPECTED:
            return f"{number} faces of {when} in the bucket are unknown to the outbox{which}"
        case Verdict.OTHER:
            return f"the faces of {when} in the bucket are not those that were confirmed{which}"
    return (
        f"the hour {when} is not proved, because some of its faces were not confirmed yet: repeat "
        "the audit while the device is connected"
    )
