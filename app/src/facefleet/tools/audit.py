"""Prove delivery by comparing each camera's outbox with a listing of the bucket.

A camera balances if
- captured = stored + quarantined + pending + evicted + dead + dropped,
- every confirmed face is in the bucket or was erased (`facefleet erase` leaves a record there), and
- every face of the camera in the bucket is known to its outbox.
Both sides are read in the order of their keys, so that neither is held in memory.

The audit also shows how much of each day a camera saw. That is no part of the balance: what a
camera did not see is not lost.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from facefleet import aws
from facefleet.auditing.erasure_records import Erasure
from facefleet.auditing.records import Records
from facefleet.bucket import Bucket
from facefleet.delivery.outbox import LEDGER_DAYS, Counts, State
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.errors import FacefleetError, printable
from facefleet.protocol import FaceName, camera_prefix
from facefleet.settings import AuditSettings
from facefleet.tools.coverage import Day, by_day, table_rows
from facefleet.tools.tables import table

LISTED = 1000  # keys of each kind to report; all of them are counted
SHOWN = 20  # keys of each kind to print on a terminal


class UnbalancedError(FacefleetError):
    """The audit found missing or unexpected faces."""


@dataclass
class _Keys:
    """Keys with a discrepancy: their number, and the first of them."""

    count: int = 0
    keys: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.count += 1
        if len(self.keys) < LISTED:
            self.keys.append(key)


@dataclass
class Account:
    """The comparison of one camera's outbox with the bucket."""

    camera: str  # device/camera
    epoch: str
    counts: Counts
    lines_gone: int = 0  # rows that the ledger should have but lacks
    too_old: int = 0  # confirmed faces that were stored before the audited period
    in_bucket: int = 0  # confirmed faces in the bucket
    erased: int = 0  # confirmed faces that were erased, according to a record in the bucket
    missing: _Keys = field(default_factory=_Keys)  # confirmed, but not in the bucket
    unexpected: _Keys = field(default_factory=_Keys)  # in the bucket, but unknown to the outbox
    other_epochs: dict[str, int] = field(default_factory=dict)  # objects of unlisted outboxes
    former_epochs: list[str] = field(default_factory=list)  # of this outbox, before `epoch`
    coverage: list[Day] = field(default_factory=list)  # days that the outbox has recorded

    @property
    def adds_up(self) -> bool:
        c = self.counts
        return c.captured == c.stored + c.quarantined + c.pending + c.evicted + c.dead + c.dropped

    @property
    def balanced(self) -> bool:
        wrong = self.lines_gone or self.missing.count or self.unexpected.count
        return self.adds_up and not wrong


def print_audit(
    settings: AuditSettings, outboxes: list[Path], *, as_json: bool, other_epochs: bool
) -> None:
    """Audit each outbox file and print the accounts. Raises UnbalancedError.

    `other_epochs`: accept objects of epochs that none of the outboxes has, as of a device that was
    set up again.
    """
    bucket = Bucket(aws.s3_client(), settings.bucket)
    known = _Known()
    for path in outboxes:  # open one at a time: there may be more than a process may open
        with closing(OutboxReader(path)) as reader:
            known.add(path, reader)
    # Both sides are complete for faces stored since then.
    since = datetime.now(UTC) - timedelta(days=min(LEDGER_DAYS - 1, settings.retention_days))
    records = Records(bucket)
    accounts = []
    for path in outboxes:
        with closing(OutboxReader(path)) as reader, known.copies_of(path, reader) as copies:
            accounts.append(_audit(bucket, reader, copies, records, since, known, other_epochs))
    print(json.dumps([_plain(a) for a in accounts], indent=2) if as_json else _text(accounts))
    if wrong := [account.camera for account in accounts if not account.balanced]:
        raise UnbalancedError(f"not balanced: {', '.join(wrong)}")


def _audit(
    bucket: Bucket,
    reader: OutboxReader,
    copies: "_Copies",
    records: Records,
    since: datetime,
    known: "_Known",
    other_epochs: bool,
) -> Account:
    # Read the ledger before the bucket: faces confirmed by then must be listed.
    account = Account(f"{reader.device}/{reader.camera}", reader.epoch, reader.snapshot(since))
    account.lines_gone, account.too_old = reader.lines_gone, reader.too_old
    account.former_epochs = [epoch for _, epoch in reader.epochs.former]
    account.coverage = by_day(reader.coverage(), since.date(), datetime.now(UTC).date())
    erasures = records.of(reader.device)
    rows = reader.rows()
    row = next(rows, None)
    prefix = camera_prefix(reader.device, reader.camera)
    for key, stored in bucket.entries(prefix):
        while row is not None and str(row[0]) < key:
            _count_absent(account, row, erasures)
            row = next(rows, None)
        if row is not None and str(row[0]) == key:
            account.in_bucket += row[1] is State.STORED
            row = next(rows, None)
        elif stored >= since:
            _check_unlisted(account, reader, copies, key, known, other_epochs)
    while row is not None:
        _count_absent(account, row, erasures)
        row = next(rows, None)
    return account


def _count_absent(account: Account, row: tuple[FaceName, State], erasures: list[Erasure]) -> None:
    name, state = row
    if state is State.STORED and any(erasure.explains(name) for erasure in erasures):
        account.erased += 1
    elif state is State.STORED:
        account.missing.add(str(name))


def _check_unlisted(
    account: Account,
    reader: OutboxReader,
    copies: "_Copies",
    key: str,
    known: "_Known",
    other_epochs: bool,
) -> None:
    name = FaceName.parse(key)
    if name is None:
        account.unexpected.add(key)
    elif name.epoch not in known.cameras:
        _count_other(account, name, other_epochs)
    elif known.cameras[name.epoch] != account.camera:
        account.unexpected.add(key)
    elif name.epoch not in reader.epochs or reader.knows(name) or copies.know(name):
        return  # of another outbox; or captured since the snapshot, or evicted while in flight
    elif name.epoch == reader.epoch:
        account.unexpected.add(key)
    else:  # an epoch that this outbox has left because a copy of it uses it, too
        _count_other(account, name, other_epochs)


def _count_other(account: Account, name: FaceName, accepted: bool) -> None:
    account.other_epochs[name.epoch] = account.other_epochs.get(name.epoch, 0) + 1
    if not accepted:
        account.unexpected.add(str(name))


class _Known:
    """The epochs of all outboxes of an audit, and which of the files are copies of each other."""

    def __init__(self) -> None:
        self.cameras: dict[str, str] = {}  # epoch to device/camera
        self._paths: dict[str, list[Path]] = {}  # by epoch

    def add(self, path: Path, reader: OutboxReader) -> None:
        for epoch in reader.epochs:
            self.cameras[epoch] = f"{reader.device}/{reader.camera}"
            self._paths.setdefault(epoch, []).append(path)

    def copies_of(self, path: Path, reader: OutboxReader) -> "_Copies":
        paths = {other for epoch in reader.epochs for other in self._paths[epoch]}
        return _Copies(sorted(paths - {path}))


class _Copies(ExitStack):
    """The other outboxes that share an epoch with the audited one."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__()
        self._readers = [self.enter_context(closing(OutboxReader(path))) for path in paths]

    def know(self, name: FaceName) -> bool:
        return any(reader.knows(name) for reader in self._readers)


def _plain(account: Account) -> dict:
    return {**asdict(account), "adds_up": account.adds_up, "balanced": account.balanced}


def _text(accounts: list[Account]) -> str:
    columns = ("captured", "stored", "pending", "evicted", "quarantined", "dead", "dropped")
    head = ("camera", "epoch", *columns, "in bucket", "erased", "missing", "unexpected", "")
    rows = [
        (
            a.camera,
            a.epoch,
            *(getattr(a.counts, column) for column in columns),
            a.in_bucket,
            a.erased,
            a.missing.count,
            a.unexpected.count,
            "balanced" if a.balanced else "NOT BALANCED",
        )
        for a in accounts
    ]
    lines = [table([head, *rows]), *(line for a in accounts for line in _remarks(a))]
    seen = [(a.camera, *row) for a in accounts for row in table_rows(a.coverage)]
    if seen:
        lines += ["", table([("camera", "day (UTC)", "saw", "did not see"), *seen])]
    return "\n".join(lines)


def _remarks(account: Account) -> Iterator[str]:
    if not account.adds_up:
        yield f"{account.camera}: the outbox's own counts do not add up"
    if account.lines_gone:
        yield (
            f"{account.camera}: the outbox has no record of {account.lines_gone:,} captured faces: "
            "another program has changed its file"
        )
    if account.too_old:
        yield (
            f"{account.camera}: {account.too_old:,} confirmed faces were stored before the audited "
            "period and have not been checked"
        )
    for word, found in (("missing", account.missing), ("unexpected", account.unexpected)):
        for key in found.keys[:SHOWN]:
            yield f"{word}  {printable(key)}"
        if found.count > SHOWN:
            yield f"{word}  ... and {found.count - SHOWN:,} more: --json lists up to {LISTED:,}"
    for epoch, objects in account.other_epochs.items():
        yield (
            f"{account.camera}: {objects:,} objects have epoch {epoch}, which none of these "
            "outboxes has (if the device was set up again, pass --other-epochs)"
        )
