"""The durable list, in SQLite, of faces that the bucket has not confirmed.

Guarantees: once `add` has returned, a face survives `kill -9` thanks to the write-ahead log, and a
power cut thanks to `synchronous=FULL`, which syncs the log at each commit (NORMAL would lose the
last commits). A power cut may undo a confirmation: the face is then resent, and the bucket replies
that it has the face.

A row in the table `ledger` remains for each face after its image is deleted, for `facefleet audit`.
Only one thread may use an Outbox, but other processes may open the same file.
"""

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from itertools import repeat
from pathlib import Path
from typing import BinaryIO

from facefleet.delivery import coverage
from facefleet.delivery.backlog import Rank
from facefleet.delivery.database import Database, OutboxError, is_full, set_aside
from facefleet.delivery.epochs import Epochs, new_epoch
from facefleet.delivery.forecast import Fill
from facefleet.errors import FacefleetError
from facefleet.logging import log
from facefleet.protocol import FaceName, content_tag

RESERVE = 512 << 20  # bytes of the disk left free, as the kubelet evicts pods below 256 MiB
LEDGER_DAYS = 30  # the default of the bucket's lifecycle; audits go no further back
EPOCH_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CAPTURED_DAY = "captured / 86400000000"
DAY = f"coalesce(day, {CAPTURED_DAY})"
"""The day of a face's outcome; rows of an older version have only the day of capture."""
_OLDEST = "SELECT captured FROM ledger WHERE seq = (SELECT min(seq) FROM ({}))".format(
    " UNION ALL ".join(  # the index is by rank
        f"SELECT min(seq) AS seq FROM ledger WHERE state = 0 AND rank = {rank:d}" for rank in Rank
    )
)
PRUNE_BATCH = 1000  # rows that one call of `prune` checks, to keep it short


class State(IntEnum):
    """The state of a face in the ledger."""

    PENDING = 0
    STORED = 1
    QUARANTINED = 2
    DEAD = 3


class NoStorageError(FacefleetError):
    """No face can be stored in the outbox for now."""


class DiskFullError(NoStorageError):
    """There is no room for another face, even after evicting older ones."""


class DamagedFaceError(FacefleetError):
    """A pending face no longer has the content that was put into the outbox."""


@dataclass(frozen=True)
class Counts:
    """Numbers of faces: captured = stored + quarantined + pending + evicted + dead + dropped."""

    captured: int
    stored: int
    quarantined: int
    pending: int
    evicted: int
    dead: int
    dropped: int


class Outbox:
    """The outbox of one camera. Raises OutboxError if the file cannot be used."""

    def __init__(self, path: Path, device: str, camera: str, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._lock = _lock(path)
        try:
            self._open(path, device, camera)
        except BaseException:
            self._lock.close()
            raise
        self._limit_until = 0.0  # monotonic seconds
        self._limit_now = max_bytes
        self._bucket_day: int | None = None  # of the latest receipt
        self._pruned_to = 0  # seq
        self._added = self._settled = 0  # bytes, since the outbox was opened
        self._recount()
        self._files = self._identity()

    def _open(self, path: Path, device: str, camera: str) -> None:
        self._db = Database(path)
        if not self._db.value("SELECT count(*) FROM outbox"):
            with self._db.transaction():
                self._db.execute(
                    "INSERT INTO outbox (device, camera, epoch) VALUES (?, ?, ?)",
                    (device, camera, new_epoch()),
                )
        self._db.upgrade()
        found = self._db.execute("SELECT device, camera FROM outbox").fetchone()
        if found != (device, camera):
            raise OutboxError(
                f"{path} is the outbox of {found[0]}/{found[1]} and not of {device}/{camera}: "
                "set FACEFLEET_OUTBOX to a separate file for each camera, and retire a device "
                "before you rename it"
            )
        self.device, self.camera = found
        self.epochs = read_epochs(self._db)

    @property
    def epoch(self) -> str:
        """The epoch of new faces."""
        return self.epochs.current

    def begin_epoch(self) -> bool:
        """Number new faces in a new epoch, as another device uses the current one.

        Return False if the disk is full.
        """
        last = self.counts.captured
        try:
            with self._db.transaction():
                if last >= self.epochs.first(self.epoch):  # else no face has this epoch
                    self._db.execute(
                        "INSERT INTO former_epochs VALUES (?, ?, ?)",
                        (last, self.epoch, timestamp()),
                    )
                self._db.execute("UPDATE outbox SET epoch = ?", (new_epoch(),))
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            return False
        self.epochs = read_epochs(self._db)
        return True

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def keep_in_place(self) -> None:
        """Restore the file at its path if it was removed or replaced.

        The original file is still open: its content is written to a new file at the path. A file
        that has replaced it is set aside. Raises NoStorageError.
        """
        if self._identity() == self._files:
            return
        copy = self.path.with_name(f"{self.path.name}.restoring")
        try:
            self._db.copy_to(copy)
            aside = set_aside(self.path, "replaced")
            copy.rename(self.path)
            _sync(self.path.parent)
            self._db.close()
            self._lock.close()
            self._lock = _lock(self.path)
            self._open(self.path, self.device, self.camera)
            self._recount()
            self._files = self._identity()
        except (OSError, sqlite3.Error) as error:
            raise NoStorageError(
                f"the outbox {self.path} was removed or replaced while in use, and cannot be "
                f"restored ({error}): make the path writable; no new faces are stored until then"
            ) from error
        log.error(
            "outbox restored: it was removed or replaced while in use",
            outbox=str(self.path),
            set_aside=aside if self.path.with_name(aside).exists() else None,
        )

    def _identity(self) -> list[tuple[int, int] | None]:
        """Identify the files at the paths of the outbox, its log and its lock."""
        return [_which(self.path.with_name(self.path.name + end)) for end in ("", "-wal", ".lock")]

    # -- adding faces --------------------------------------------------------------------------

    def add(
        self, faces: Iterable[tuple[datetime, bytes]], ranks: Iterable[int] | None = None
    ) -> tuple[list[FaceName], list[int]]:
        """Add faces (capture time in UTC, JPEG) in one commit.

        `ranks`: one for each; if omitted, all are FIRST. Return their names, and the seqs that were
        evicted to make room. Raises NoStorageError.
        """
        self.keep_in_place()
        rows, names = [], []
        faces = list(faces)
        ranks = repeat(Rank.FIRST, len(faces)) if ranks is None else ranks
        ranked = zip(faces, ranks, strict=True)
        for seq, ((captured, jpeg), rank) in enumerate(ranked, self.counts.captured + 1):
            tag = content_tag(jpeg)
            names.append(FaceName(self.device, self.camera, captured, self.epoch, seq, tag))
            rows.append((seq, (captured - EPOCH_ZERO) // MICROSECOND, tag, int(rank), jpeg))
        size = sum(len(row[-1]) for row in rows)
        evicted = self._evict(self._bytes + size - self._limit(), "the outbox is full")
        while True:
            try:
                self._insert(rows)
                break
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
                self._limit_until = 0.0
                self._db.rewind_log()
                # If the file has room for these faces, the log has none, and evicting is no help.
                more = self._evict(2 * size - self._db.free_bytes(), "the disk is full")
                if not more:
                    raise DiskFullError(
                        f"the disk of {self.path} is full: free some space; "
                        "no new faces are stored until then"
                    ) from error
                evicted += more
        self._bytes += size
        self._added += size
        self._tally(captured=len(rows), pending=len(rows))
        return names, evicted

    def _insert(self, rows: list[tuple[int, int, str, int, bytes]]) -> None:
        with self._db.transaction():
            self._db.executemany(
                "INSERT INTO ledger (seq, captured, tag, rank, state) VALUES (?, ?, ?, ?, 0)",
                [row[:-1] for row in rows],
            )
            self._db.executemany(
                "INSERT INTO pending VALUES (?, ?)", [(row[0], row[-1]) for row in rows]
            )
            self._db.execute("UPDATE outbox SET captured = captured + ?", (len(rows),))

    def _limit(self) -> int:
        """Return the maximum bytes of images: as configured, or less if the disk fills up."""
        now = time.monotonic()
        if now >= self._limit_until:
            room = max(0, _free_bytes(self.path.parent) - RESERVE) + self._db.free_bytes()
            self._limit_now = min(self._max_bytes, self._bytes + room)
            self._limit_until = now + 1
        return self._limit_now

    def _evict(self, excess: int, reason: str) -> list[int]:
        """Evict faces until `excess` bytes are free. Return their seqs, ascending.

        Further faces of visits are evicted before the first one of any visit, the oldest first.
        """
        if excess <= 0:
            return []
        evicted: list[int] = []
        freed = 0
        for seq, size in self._db.execute(
            "SELECT seq, length(jpeg) FROM ledger CROSS JOIN pending USING (seq)"
            " WHERE state = 0 ORDER BY rank DESC, seq"
        ):
            if freed >= excess:
                break
            evicted.append(seq)
            freed += size
        if not evicted:
            return []
        evicted.sort()
        seqs = [(seq,) for seq in evicted]
        try:
            with self._db.transaction(durable=False):
                self._db.executemany("DELETE FROM pending WHERE seq = ?", seqs)
                self._db.executemany("DELETE FROM ledger WHERE seq = ?", seqs)
                for first, last in ranges(evicted):
                    self._record_eviction(first, last, reason)
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            return []
        self._bytes -= freed
        self._tally(pending=-len(evicted), evicted=len(evicted))
        return evicted

    def _record_eviction(self, first: int, last: int, reason: str) -> None:
        """Record a range, joined with those that it touches."""
        following = self._db.execute(
            "DELETE FROM evicted WHERE first = ? AND reason = ? RETURNING last", (last + 1, reason)
        ).fetchone()
        if following:
            last = following[0]
        extended = self._db.execute(
            "UPDATE evicted SET last = ?, at = ? WHERE last = ? AND reason = ?",
            (last, timestamp(), first - 1, reason),
        )
        if not extended.rowcount:
            self._db.execute(
                "INSERT INTO evicted VALUES (?, ?, ?, ?)", (first, last, reason, timestamp())
            )

    # -- reading faces and recording their outcomes --------------------------------------------

    def backlog(self, rank: int, below: float, limit: int) -> list[tuple[int, int]]:
        """Return seqs and sizes of up to `limit` unconfirmed faces below `below`, descending."""
        return self._db.execute(
            "SELECT seq, length(jpeg) FROM ledger CROSS JOIN pending USING (seq)"
            " WHERE state = 0 AND rank = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
            (rank, below, limit),
        ).fetchall()

    def oldest_age(self, now: float) -> float | None:
        """Return the seconds since the capture of the oldest unconfirmed face; None without one."""
        found = self._db.execute(_OLDEST).fetchone()
        return None if found is None else max(0.0, now - found[0] / 1e6)

    def disk_free(self) -> int | None:
        """Return the free bytes of the disk; None while the folder is missing."""
        try:
            return _free_bytes(self.path.parent)
        except OSError:
            return None

    def read(self, seq: int) -> tuple[FaceName, bytes] | None:
        """Return a face, or None if it is not pending (any more). Raises DamagedFaceError."""
        row = self._db.execute(
            "SELECT captured, tag, jpeg FROM pending JOIN ledger USING (seq) WHERE seq = ?", (seq,)
        ).fetchone()
        if row is None:
            return None
        captured, tag, jpeg = row
        if content_tag(jpeg) != tag:
            raise DamagedFaceError("its image was damaged in the outbox")
        at = EPOCH_ZERO + captured * MICROSECOND
        return FaceName(self.device, self.camera, at, self.epochs.of(seq), seq, tag), jpeg

    def pending_tag(self, seq: int) -> str | None:
        """Return the tag of a face, or None if the face is not pending (any more)."""
        row = self._db.execute(
            "SELECT tag FROM pending JOIN ledger USING (seq) WHERE seq = ?", (seq,)
        ).fetchone()
        return None if row is None else row[0]

    def tag(self, seq: int) -> str | None:
        """Return the tag of a face, pending or not, or None if its line is gone."""
        row = self._db.execute("SELECT tag FROM ledger WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else row[0]

    def record_outcomes(
        self,
        stored: Iterable[tuple[int, str]],
        quarantined: Iterable[tuple[int, str]] = (),
        dead: Iterable[tuple[int, str, str]] = (),
        day: date | None = None,
    ) -> list[tuple[int, float]]:
        """Record the outcomes of faces, by (seq, tag) (and reason), in one commit.

        `day`: of the outcome, by the bucket's clock, as this device's clock may be years off. A
        power cut may undo the commit: the faces are then resent, and the bucket replies that it has
        them. Return the seqs whose outcome is new, each with its capture time (seconds since 1970).
        A late receipt also applies to a dead letter. A face with another tag is ignored, since its
        receipt belongs to an earlier content of this outbox.
        """
        if day is not None:
            self._bucket_day = days(day)
        recorded: dict[State, list[tuple[int, float]]] = {}
        on = days(day or datetime.now(UTC).date())
        with self._db.transaction(durable=False):
            for state, pairs in ((State.STORED, stored), (State.QUARANTINED, quarantined)):
                recorded[state] = self._set_state(pairs, state, on)
            revived = self._delete_dead([row for group in recorded.values() for row in group])
            recorded[State.DEAD] = [
                row for seq, tag, reason in dead for row in self._mark_dead(seq, tag, reason, on)
            ]
            rows = [row for group in recorded.values() for row in group]
            freed = [
                row[0]
                for row in self._db.execute(
                    "DELETE FROM pending WHERE seq IN (SELECT value FROM json_each(?))"
                    " RETURNING length(jpeg)",
                    (json.dumps([seq for seq, _ in rows]),),
                ).fetchall()
            ]
            self._db.execute(
                "UPDATE outbox SET stored = stored + ?, quarantined = quarantined + ?",
                (len(recorded[State.STORED]), len(recorded[State.QUARANTINED])),
            )
        self._bytes -= sum(freed)
        self._settled += sum(freed)
        self._tally(
            pending=-len(freed),
            stored=len(recorded[State.STORED]),
            quarantined=len(recorded[State.QUARANTINED]),
            dead=len(recorded[State.DEAD]) - revived,
        )
        return rows

    def _set_state(
        self, pairs: Iterable[tuple[int, str]], state: State, day: int
    ) -> list[tuple[int, float]]:
        """Update all rows in one statement: separate ones took half of a receipt's time."""
        return self._db.execute(
            "UPDATE ledger SET state = ?1, day = ?3 FROM json_each(?2) AS pair"
            " WHERE seq = pair.value ->> 0 AND tag = pair.value ->> 1"
            " AND state IN (0, 3) AND state <> ?1"
            " RETURNING seq, captured / 1e6",
            (state, json.dumps(list(pairs)), day),
        ).fetchall()

    def _delete_dead(self, rows: list[tuple[int, float]]) -> int:
        """Delete the dead letters among these faces. Return their number."""
        if not self.counts.dead:
            return 0
        seqs = json.dumps([seq for seq, _ in rows])
        return self._db.execute(
            "DELETE FROM dead WHERE seq IN (SELECT value FROM json_each(?))", (seqs,)
        ).rowcount

    def _mark_dead(self, seq: int, tag: str, reason: str, day: int) -> list[tuple[int, float]]:
        marked = self._set_state([(seq, tag)], State.DEAD, day)
        if marked:
            self._db.execute(
                "INSERT INTO dead SELECT seq, jpeg, ?, ? FROM pending WHERE seq = ?",
                (reason, timestamp(), seq),
            )
        return marked

    def changed_elsewhere(self) -> bool:
        """Return whether another process has written since the last call. Updates the counts."""
        if self._db.value("PRAGMA data_version") == self._version:
            return False
        self._recount()
        return True

    def prune(self) -> int:
        """Delete ledger rows of faces that the bucket's lifecycle has expired.

        The earlier of two clocks counts, the bucket's (from receipts) and this device's, so that a
        single wrong clock deletes nothing. Each call checks the next PRUNE_BATCH rows. Return the
        number of deleted rows.
        """
        if self._bucket_day is None:
            return 0
        expired = self._expired(self._bucket_day)
        rows = self._db.execute(
            f"SELECT seq, state, {DAY} FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?",
            (self._pruned_to, PRUNE_BATCH),
        ).fetchall()
        self._pruned_to = rows[-1][0] if len(rows) == PRUNE_BATCH else 0
        final = (State.STORED, State.QUARANTINED)
        old = [(seq,) for seq, state, day in rows if day < expired and state in final]
        if old:
            with self._db.transaction(durable=False):
                self._db.executemany("DELETE FROM ledger WHERE seq = ?", old)
                self._db.execute("UPDATE pruning SET pruned = pruned + ?", (len(old),))
        return len(old)

    @staticmethod
    def _expired(bucket_day: int) -> int:
        """Return the first day to keep, by the earlier of two clocks."""
        return min(bucket_day, days(datetime.now(UTC).date())) - LEDGER_DAYS

    def record_coverage(self, minutes: Mapping[int, Mapping[str, int]]) -> bool:
        """Record what the camera saw, in one commit, which a power cut may undo.

        `minutes`: seconds by minute and state (see `coverage`). Lines are kept as long as those of
        faces. Return False if the disk is full.
        """
        try:
            with self._db.transaction(durable=False):
                coverage.record(self._db, minutes)
                if self._bucket_day is not None:
                    coverage.prune(self._db, self._expired(self._bucket_day))
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            return False
        return True

    # -- counts --------------------------------------------------------------------------------

    def fill(self) -> Fill:
        return Fill(self._bytes, self._limit(), self._added, self._settled)

    def _recount(self) -> None:
        self._version = self._db.value("PRAGMA data_version")
        self._bytes = self._db.value("SELECT coalesce(sum(length(jpeg)), 0) FROM pending")
        self.counts = count(self._db)

    def _tally(self, **changes: int) -> None:
        self.counts = replace(
            self.counts, **{name: getattr(self.counts, name) + n for name, n in changes.items()}
        )


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _lock(path: Path) -> BinaryIO:
    """Keep a second detector out by a separate file, as SQLite has its own locks on the outbox."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("wb")
    except OSError as error:
        raise OutboxError(f"cannot open the outbox {path} ({error}): check the path") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise OutboxError(
            f"{path} is in use by another detector: set FACEFLEET_OUTBOX to a separate file for "
            "each camera, or stop the other detector"
        ) from error
    return lock


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sync(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Group ascending numbers into (first, last) of each consecutive run."""
    found: list[tuple[int, int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found


def days(day: date) -> int:
    """Return days since 1970, as in the ledger."""
    return (day - EPOCH_ZERO.date()).days


def read_epochs(db: Database) -> Epochs:
    current = db.execute("SELECT epoch FROM outbox").fetchone()[0]
    if not db.has_former_epochs():  # a file of an older version
        return Epochs(current)
    former = db.execute("SELECT last, epoch FROM former_epochs ORDER BY last").fetchall()
    return Epochs(current, tuple(former))


def count(db: Database) -> Counts:
    """Read the counts from the file."""
    return Counts(
        *db.execute(
            "SELECT captured, stored, quarantined, (SELECT count(*) FROM pending),"
            " (SELECT coalesce(sum(last - first + 1), 0) FROM evicted),"
            " (SELECT count(*) FROM dead), (SELECT count(*) FROM dropped) FROM outbox"
        ).fetchone()
    )


def timestamp() -> str:
    """Return the current time in UTC as ISO text."""
    return datetime.now(UTC).isoformat(timespec="seconds")
