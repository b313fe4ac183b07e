"""The durable list of faces that the bucket has not confirmed, in SQLite.

What is promised, and by which mode: a face that `add` has returned survives `kill -9` by the
write-ahead log, and a power cut by `synchronous=FULL` (the log is synced at each commit; NORMAL
would lose its last commits). A confirmation may be lost in a power cut: the face is then sent
again, and the bucket says that it has it.

A ledger row a face stays behind after its picture has gone, for `facefleet audit`.
One thread uses an Outbox; another process may open the same file beside it.
"""

import fcntl
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from facefleet.delivery.database import Database, OutboxError, is_full, set_aside
from facefleet.errors import FacefleetError
from facefleet.logging import log
from facefleet.names import FaceName, content_tag

RESERVE = 512 << 20  # bytes of the disk left to others: below 256 MiB, the kubelet evicts pods
LEDGER_DAYS = 30  # the default of the bucket's lifecycle; an audit sees no further back
EPOCH_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CAPTURED_DAY = "captured / 86400000000"
DAY = f"coalesce(day, {CAPTURED_DAY})"
"""When a face was settled; a line of an older version knows only when it was captured."""
LOOKED_AT = 1000  # lines that one pruning looks at, so that it is quick


class State(IntEnum):
    """What the ledger says of a face."""

    PENDING = 0
    STORED = 1
    QUARANTINED = 2
    DEAD = 3


class NoStorageError(FacefleetError):
    """No face can be kept for now."""


class DiskFullError(NoStorageError):
    """There is no room for another face, and evicting older ones made none."""


class DamagedFaceError(FacefleetError):
    """What waited in the outbox is not what was put there."""


@dataclass(frozen=True)
class Counts:
    """captured = stored + quarantined + pending + evicted + dead + dropped."""

    captured: int
    stored: int
    quarantined: int
    pending: int
    evicted: int
    dead: int
    dropped: int


class Outbox:
    """One camera's outbox. Raises OutboxError where the file cannot be used."""

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
        self._bucket_day: int | None = None  # as the latest receipt told it
        self._pruned_to = 0  # seq
        self._recount()
        self._files = self._identity()

    def _open(self, path: Path, device: str, camera: str) -> None:
        self._db = Database(path)
        if not self._db.value("SELECT count(*) FROM outbox"):
            with self._db.transaction():
                self._db.execute(
                    "INSERT INTO outbox (device, camera, epoch) VALUES (?, ?, ?)",
                    (device, camera, secrets.token_hex(4)),
                )
        self._db.upgrade()
        found = self._db.execute("SELECT device, camera, epoch FROM outbox").fetchone()
        if found[:2] != (device, camera):
            raise OutboxError(
                f"{path} is the outbox of {found[0]}/{found[1]} and not of {device}/{camera}: "
                "give each camera a file of its own by FACEFLEET_OUTBOX"
            )
        self.device, self.camera, self.epoch = found

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def keep_in_place(self) -> None:
        """See that the open file is the one at the path, and put it there again where it is not.

        What was removed or replaced is still open: all that it holds is written to a new file.
        What stands there now is set aside. Raises NoStorageError.
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
                f"the outbox {self.path} was removed or replaced while it was open, and cannot be "
                f"written again ({error}): until it can, no new face is kept"
            ) from error
        log.error(
            "the outbox was removed or replaced while it was open; it has been written again",
            outbox=str(self.path),
            set_aside=aside if self.path.with_name(aside).exists() else None,
        )

    def _identity(self) -> list[tuple[int, int] | None]:
        """Which files stand at the paths of the outbox, its log and its lock."""
        return [_which(self.path.with_name(self.path.name + end)) for end in ("", "-wal", ".lock")]

    # -- faces in ------------------------------------------------------------------------------

    def add(self, faces: Iterable[tuple[datetime, bytes]]) -> tuple[list[FaceName], list[int]]:
        """Keep faces (capture time in UTC, JPEG) in one commit.

        Returns their names, and the seqs that were evicted to make room. Raises NoStorageError.
        """
        self.keep_in_place()
        rows, names = [], []
        for seq, (captured, jpeg) in enumerate(faces, self.counts.captured + 1):
            tag = content_tag(jpeg)
            names.append(FaceName(self.device, self.camera, captured, self.epoch, seq, tag))
            rows.append((seq, (captured - EPOCH_ZERO) // MICROSECOND, tag, jpeg))
        size = sum(len(row[3]) for row in rows)
        gone = self._evict(self._bytes + size - self._limit(), "the outbox is full")
        while True:
            try:
                self._insert(rows)
                break
            except sqlite3.OperationalError as error:
                if not is_full(error):
                    raise
                self._limit_until = 0.0
                self._db.rewind_log()
                # Where the file has room for these, it is the log that has none: no eviction helps.
                more = self._evict(2 * size - self._db.free_bytes(), "the disk is full")
                if not more:
                    raise DiskFullError(
                        f"the disk of {self.path} is full: free some space; "
                        "until then no new face can be kept"
                    ) from error
                gone += more
        self._bytes += size
        self._tally(captured=len(rows), pending=len(rows))
        return names, gone

    def _insert(self, rows: list[tuple[int, int, str, bytes]]) -> None:
        with self._db.transaction():
            self._db.executemany(
                "INSERT INTO ledger (seq, captured, tag, state) VALUES (?, ?, ?, 0)",
                [row[:3] for row in rows],
            )
            self._db.executemany(
                "INSERT INTO pending VALUES (?, ?)", [(row[0], row[3]) for row in rows]
            )
            self._db.execute("UPDATE outbox SET captured = captured + ?", (len(rows),))

    def _limit(self) -> int:
        """Bytes of pictures that may be kept: as set, and less on a disk that fills up."""
        now = time.monotonic()
        if now >= self._limit_until:
            disk = os.statvfs(self.path.parent)
            room = max(0, disk.f_bavail * disk.f_frsize - RESERVE) + self._db.free_bytes()
            self._limit_now = min(self._max_bytes, self._bytes + room)
            self._limit_until = now + 1
        return self._limit_now

    def _evict(self, excess: int, reason: str) -> list[int]:
        """Give up the oldest faces until `excess` bytes are free. Returns their seqs."""
        if excess <= 0:
            return []
        gone: list[int] = []
        freed = 0
        for seq, size in self._db.execute("SELECT seq, length(jpeg) FROM pending ORDER BY seq"):
            if freed >= excess:
                break
            gone.append(seq)
            freed += size
        if not gone:
            return []
        try:
            with self._db.transaction(durable=False):
                self._db.executemany("DELETE FROM pending WHERE seq = ?", ((seq,) for seq in gone))
                self._db.executemany("DELETE FROM ledger WHERE seq = ?", ((seq,) for seq in gone))
                for first, last in ranges(gone):
                    self._record_eviction(first, last, reason)
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            return []
        self._bytes -= freed
        self._tally(pending=-len(gone), evicted=len(gone))
        return gone

    def _record_eviction(self, first: int, last: int, reason: str) -> None:
        grown = self._db.execute(
            "UPDATE evicted SET last = ?, at = ? WHERE last = ? AND reason = ?",
            (last, timestamp(), first - 1, reason),
        )
        if not grown.rowcount:
            self._db.execute(
                "INSERT INTO evicted VALUES (?, ?, ?, ?)", (first, last, reason, timestamp())
            )

    # -- faces out -----------------------------------------------------------------------------

    def backlog(self, after: int, limit: int) -> list[tuple[int, int]]:
        """Seqs and sizes of unconfirmed faces beyond `after`, ascending, at most `limit`."""
        return self._db.execute(
            "SELECT seq, length(jpeg) FROM pending WHERE seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        ).fetchall()

    def read(self, seq: int) -> tuple[FaceName, bytes] | None:
        """A pending face, or None where it is not (or no longer) there. Raises DamagedFaceError."""
        row = self._db.execute(
            "SELECT captured, tag, jpeg FROM pending JOIN ledger USING (seq) WHERE seq = ?", (seq,)
        ).fetchone()
        if row is None:
            return None
        captured, tag, jpeg = row
        if content_tag(jpeg) != tag:
            raise DamagedFaceError("its picture was damaged in the outbox")
        at = EPOCH_ZERO + captured * MICROSECOND
        return FaceName(self.device, self.camera, at, self.epoch, seq, tag), jpeg

    def pending_tag(self, seq: int) -> str | None:
        """The tag of a pending face, or None where it is not (or no longer) there."""
        row = self._db.execute(
            "SELECT tag FROM pending JOIN ledger USING (seq) WHERE seq = ?", (seq,)
        ).fetchone()
        return None if row is None else row[0]

    def settle(
        self,
        stored: Iterable[tuple[int, str]],
        quarantined: Iterable[tuple[int, str]] = (),
        dead: Iterable[tuple[int, str, str]] = (),
        day: date | None = None,
    ) -> list[tuple[int, float]]:
        """Note what became of faces, by (seq, tag) (and reason), in one commit.

        `day`: when it became of them, by the bucket's clock. This device's may be years off.
        A power cut may undo it: the face is then sent again, and the bucket says that it has it.
        Returns the seqs of which this was news, each with its capture time (seconds since 1970). A
        receipt that comes late settles a dead letter, too. A tag that is not this face's is another
        life's receipt, and is left alone.
        """
        if day is not None:
            self._bucket_day = days(day)
        settled: dict[State, list[tuple[int, float]]] = {}
        on = days(day or datetime.now(UTC).date())
        with self._db.transaction(durable=False):
            for state, pairs in ((State.STORED, stored), (State.QUARANTINED, quarantined)):
                settled[state] = self._mark(pairs, state, on)
            raised = self._raise_dead([row for group in settled.values() for row in group])
            settled[State.DEAD] = [
                row for seq, tag, reason in dead for row in self._bury(seq, tag, reason, on)
            ]
            rows = [row for group in settled.values() for row in group]
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
                (len(settled[State.STORED]), len(settled[State.QUARANTINED])),
            )
        self._bytes -= sum(freed)
        self._tally(
            pending=-len(freed),
            stored=len(settled[State.STORED]),
            quarantined=len(settled[State.QUARANTINED]),
            dead=len(settled[State.DEAD]) - raised,
        )
        return rows

    def _mark(
        self, pairs: Iterable[tuple[int, str]], state: State, day: int
    ) -> list[tuple[int, float]]:
        """One statement for all: the statements were half of a receipt's price."""
        return self._db.execute(
            "UPDATE ledger SET state = ?1, day = ?3 FROM json_each(?2) AS pair"
            " WHERE seq = pair.value ->> 0 AND tag = pair.value ->> 1"
            " AND state IN (0, 3) AND state <> ?1"
            " RETURNING seq, captured / 1e6",
            (state, json.dumps(list(pairs)), day),
        ).fetchall()

    def _raise_dead(self, rows: list[tuple[int, float]]) -> int:
        """Forget those of them that were dead letters. Returns how many."""
        if not self.counts.dead:
            return 0
        seqs = json.dumps([seq for seq, _ in rows])
        return self._db.execute(
            "DELETE FROM dead WHERE seq IN (SELECT value FROM json_each(?))", (seqs,)
        ).rowcount

    def _bury(self, seq: int, tag: str, reason: str, day: int) -> list[tuple[int, float]]:
        marked = self._mark([(seq, tag)], State.DEAD, day)
        if marked:
            self._db.execute(
                "INSERT INTO dead SELECT seq, jpeg, ?, ? FROM pending WHERE seq = ?",
                (reason, timestamp(), seq),
            )
        return marked

    def changed_elsewhere(self) -> bool:
        """Whether another process has written since the last call; the counts are then new."""
        if self._db.value("PRAGMA data_version") == self._version:
            return False
        self._recount()
        return True

    def prune(self) -> int:
        """Forget ledger rows of faces that the bucket's lifecycle has expired.

        By the bucket's clock, as receipts tell it, and not ahead of this device's: one clock that
        is wrong forgets nothing. Each call looks at the next LOOKED_AT rows. Returns how many were
        forgotten.
        """
        if self._bucket_day is None:
            return 0
        expired = min(self._bucket_day, days(datetime.now(UTC).date())) - LEDGER_DAYS
        rows = self._db.execute(
            f"SELECT seq, state, {DAY} FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?",
            (self._pruned_to, LOOKED_AT),
        ).fetchall()
        self._pruned_to = rows[-1][0] if len(rows) == LOOKED_AT else 0
        settled = (State.STORED, State.QUARANTINED)
        old = [(seq,) for seq, state, day in rows if day < expired and state in settled]
        if old:
            with self._db.transaction(durable=False):
                self._db.executemany("DELETE FROM ledger WHERE seq = ?", old)
                self._db.execute("UPDATE pruning SET pruned = pruned + ?", (len(old),))
        return len(old)

    # -- plumbing ------------------------------------------------------------------------------

    def _recount(self) -> None:
        self._version = self._db.value("PRAGMA data_version")
        self._bytes = self._db.value("SELECT coalesce(sum(length(jpeg)), 0) FROM pending")
        self.counts = count(self._db)

    def _tally(self, **changes: int) -> None:
        self.counts = replace(
            self.counts, **{name: getattr(self.counts, name) + n for name, n in changes.items()}
        )


def _lock(path: Path) -> BinaryIO:
    """Keep a second detector out. A file beside it: SQLite has locks of its own on the outbox."""
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
            f"{path} is another detector's, which is running: give each camera a file of its own "
            "by FACEFLEET_OUTBOX, or end the other"
        ) from error
    return lock


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _sync(folder: Path) -> None:
    """Have a change of names in a folder survive a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Ascending numbers as (first, last) of each run without a gap."""
    found: list[tuple[int, int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found


def days(day: date) -> int:
    """Since 1970, as the ledger has it."""
    return (day - EPOCH_ZERO.date()).days


def count(db: Database) -> Counts:
    """What the file says of itself."""
    return Counts(
        *db.execute(
            "SELECT captured, stored, quarantined, (SELECT count(*) FROM pending),"
            " (SELECT coalesce(sum(last - first + 1), 0) FROM evicted),"
            " (SELECT count(*) FROM dead), (SELECT count(*) FROM dropped) FROM outbox"
        ).fetchone()
    )


def timestamp() -> str:
    """Now, in UTC, as ISO text."""
    return datetime.now(UTC).isoformat(timespec="seconds")
