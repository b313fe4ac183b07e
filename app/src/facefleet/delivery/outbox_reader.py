"""Access to an outbox from another process, for `facefleet audit` and `facefleet outbox`.

This is safe while the detector runs, which notices a change within two seconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from facefleet.delivery import coverage
from facefleet.delivery.database import Database
from facefleet.delivery.outbox import (
    CAPTURED_DAY,
    DAY,
    EPOCH_ZERO,
    MICROSECOND,
    Counts,
    State,
    count,
    days,
    read_epochs,
    timestamp,
)
from facefleet.protocol import FaceName

_EPOCH = """coalesce(
    (SELECT epoch FROM former_epochs WHERE last >= seq ORDER BY last LIMIT 1),
    (SELECT epoch FROM outbox)
)"""
"""The epoch of a line in the ledger."""


@dataclass(frozen=True)
class DeadLetter:
    """A face that was refused permanently."""

    name: FaceName
    size: int  # bytes
    reason: str
    at: str  # ISO time


class OutboxReader:
    """The outbox file of one camera, which must exist. Raises OutboxError."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, create=False)
        self.device, self.camera = self._db.execute("SELECT device, camera FROM outbox").fetchone()
        self.epochs = read_epochs(self._db)
        self.lines_gone = 0  # as of the snapshot: rows that the ledger table lacks
        self.too_old = 0  # stored faces that the snapshot omits

    def close(self) -> None:
        self._db.close()

    @property
    def epoch(self) -> str:
        """The epoch of new faces."""
        return self.epochs.current

    def counts(self) -> Counts:
        return count(self._db)

    def snapshot(self, since: datetime) -> Counts:
        """Copy the rows that `rows` yields, and return the counts of the same moment.

        Stored faces are included only if they were stored on a day (UTC) after `since`, by the
        bucket's clock. The copy is a temporary table, since a long read transaction would keep the
        detector's write-ahead log from being reset.
        """
        day = DAY if self._db.has_days() else CAPTURED_DAY
        epoch = _EPOCH if self.epochs.former else "''"
        self._db.execute("PRAGMA temp_store = FILE")
        with self._db.transaction():
            self._db.execute("DROP TABLE IF EXISTS temp.frozen")
            self._db.execute(
                "CREATE TEMP TABLE frozen AS SELECT seq, captured, tag, state FROM ledger"
                f" WHERE state <> {State.STORED:d} OR {day} > ?"
                f" ORDER BY captured, {epoch}, seq || '-'",
                (days(since.date()),),
            )
            counts = count(self._db)
            lines = self._db.value("SELECT count(*) FROM ledger")
            self.too_old = lines - self._db.value("SELECT count(*) FROM frozen")
            if self._db.counts_pruned():
                lines += self._db.value("SELECT pruned FROM pruning")
                self.lines_gone = counts.captured - counts.evicted - counts.dropped - lines
            return counts

    def rows(self) -> Iterator[tuple[FaceName, State]]:
        """Yield the faces of the snapshot, ordered by their names as text."""
        for seq, captured, tag, state in self._db.execute("SELECT * FROM frozen ORDER BY rowid"):
            yield self._name(seq, captured, tag), State(state)

    def knows(self, name: FaceName) -> bool:
        """Return whether the outbox has, or remembers having had, the face."""
        found = self._db.execute(
            "SELECT 1 FROM ledger WHERE seq = ? AND tag = ?"
            " UNION ALL SELECT 1 FROM evicted WHERE ? BETWEEN first AND last"
            " UNION ALL SELECT 1 FROM dropped WHERE seq = ?",
            (name.seq, name.tag, name.seq, name.seq),
        ).fetchone()
        numbered_here = name.epoch in self.epochs and self.epochs.of(name.seq) == name.epoch
        return numbered_here and found is not None

    def evictions(self) -> list[tuple[int, int, str, str]]:
        """Return (first seq, last seq, reason, ISO time) of each range that was evicted."""
        return self._db.execute("SELECT * FROM evicted ORDER BY first").fetchall()

    def coverage(self) -> list[coverage.Range]:
        """Return what the camera saw, in the order of time; nothing if the file is older."""
        return coverage.read(self._db) if self._db.has_coverage() else []

    def dead_letters(self) -> list[DeadLetter]:
        """Return the faces that were refused permanently, oldest first."""
        return [
            DeadLetter(self._name(seq, captured, tag), size, reason, at)
            for seq, captured, tag, size, reason, at in self._db.execute(
                "SELECT seq, captured, tag, length(jpeg), reason, at"
                " FROM dead JOIN ledger USING (seq) ORDER BY seq"
            )
        ]

    def retry(self, seqs: Iterable[int]) -> list[int]:
        """Make dead letters pending again. Return the seqs that were dead letters."""
        with self._db.transaction():
            found = self._dead(seqs)
            for seq in found:
                self._db.execute(
                    "INSERT INTO pending SELECT seq, jpeg FROM dead WHERE seq = ?", (seq,)
                )
                self._db.execute("DELETE FROM dead WHERE seq = ?", (seq,))
                self._db.execute("UPDATE ledger SET state = ? WHERE seq = ?", (State.PENDING, seq))
        return found

    def drop(self, seqs: Iterable[int]) -> list[int]:
        """Delete dead letters, keeping a record. Return the seqs that were dead letters."""
        with self._db.transaction():
            found = self._dead(seqs)
            for seq in found:
                self._db.execute("DELETE FROM dead WHERE seq = ?", (seq,))
                self._db.execute("DELETE FROM ledger WHERE seq = ?", (seq,))
                self._db.execute("INSERT INTO dropped VALUES (?, ?)", (seq, timestamp()))
        return found

    def _dead(self, seqs: Iterable[int]) -> list[int]:
        dead = {row[0] for row in self._db.execute("SELECT seq FROM dead")}
        return sorted(dead.intersection(seqs))

    def _name(self, seq: int, captured: int, tag: str) -> FaceName:
        at = EPOCH_ZERO + captured * MICROSECOND
        return FaceName(self.device, self.camera, at, self.epochs.of(seq), seq, tag)
