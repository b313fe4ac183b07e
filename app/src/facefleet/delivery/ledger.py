"""An outbox seen from beside: what `facefleet audit` and `facefleet outbox` read and change.

Safe while the detector runs: the detector notices a change within two seconds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

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
    timestamp,
)
from facefleet.names import FaceName


@dataclass(frozen=True)
class DeadLetter:
    """A face that was refused for good."""

    name: FaceName
    size: int  # bytes
    reason: str
    at: str  # ISO time


class Ledger:
    """One camera's outbox file, which must exist. Raises OutboxError."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, create=False)
        self.device, self.camera, self.epoch = self._db.execute(
            "SELECT device, camera, epoch FROM outbox"
        ).fetchone()
        self.lines_gone = 0  # as of the snapshot: faces of which the ledger should have a line
        self.too_old = 0  # stored ones that the snapshot leaves out

    def close(self) -> None:
        self._db.close()

    def counts(self) -> Counts:
        return count(self._db)

    def snapshot(self, since: datetime) -> Counts:
        """Freeze the rows for `rows`, with the counts they add to.

        Of the stored ones, only those of the days (UTC) after `since`, by the bucket's clock.
        They are copied into a temporary table: a long look must not hold up the detector's log.
        """
        day = DAY if self._db.has_days() else CAPTURED_DAY
        self._db.execute("PRAGMA temp_store = FILE")
        with self._db.transaction():
            self._db.execute("DROP TABLE IF EXISTS temp.frozen")
            self._db.execute(
                "CREATE TEMP TABLE frozen AS SELECT seq, captured, tag, state FROM ledger"
                f" WHERE state <> {State.STORED:d} OR {day} > ? ORDER BY captured, seq || '-'",
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
        """What `snapshot` froze, in the order of the names as text."""
        for seq, captured, tag, state in self._db.execute("SELECT * FROM frozen ORDER BY rowid"):
            yield self._name(seq, captured, tag), State(state)

    def knows(self, name: FaceName) -> bool:
        """Whether the face is, or was, this outbox's, as far as is remembered now."""
        found = self._db.execute(
            "SELECT 1 FROM ledger WHERE seq = ? AND tag = ?"
            " UNION ALL SELECT 1 FROM evicted WHERE ? BETWEEN first AND last"
            " UNION ALL SELECT 1 FROM dropped WHERE seq = ?",
            (name.seq, name.tag, name.seq, name.seq),
        ).fetchone()
        return name.epoch == self.epoch and found is not None

    def evictions(self) -> list[tuple[int, int, str, str]]:
        """(first seq, last seq, reason, time in ISO) of what was given up to make room."""
        return self._db.execute("SELECT * FROM evicted ORDER BY first").fetchall()

    def dead_letters(self) -> list[DeadLetter]:
        """The faces that were refused for good, oldest first."""
        return [
            DeadLetter(self._name(seq, captured, tag), size, reason, at)
            for seq, captured, tag, size, reason, at in self._db.execute(
                "SELECT seq, captured, tag, length(jpeg), reason, at"
                " FROM dead JOIN ledger USING (seq) ORDER BY seq"
            )
        ]

    def retry(self, seqs: Iterable[int]) -> list[int]:
        """Put dead letters back among the pending. Returns those that were dead letters."""
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
        """Delete dead letters; that they were is remembered. Returns those that were."""
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
        return FaceName(self.device, self.camera, at, self.epoch, seq, tag)
