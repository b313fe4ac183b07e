"""Remember which hours were proved, so that the next audit need not list them again.

A proof holds for a day. Then the hour is listed again, since a bucket may lose objects.
"""

import sqlite3
import time
from datetime import date
from pathlib import Path

from facefleet.digest import Day, DigestName
from facefleet.errors import FacefleetError

VALID = 86_400  # seconds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS heads (outbox TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (
    outbox TEXT NOT NULL, day TEXT NOT NULL,
    name TEXT NOT NULL, payload BLOB NOT NULL,  -- of the digest
    proved INTEGER NOT NULL,                    -- a bit for each hour
    since REAL NOT NULL,                        -- when the first of these hours was listed
    PRIMARY KEY (outbox, day)
) WITHOUT ROWID
"""


class Proofs:
    """The proofs in a file, or in memory. Several processes may use one file.

    `outbox` is device/camera/epoch. Raises FacefleetError if the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        try:
            self._db = sqlite3.connect(path or ":memory:", timeout=30, isolation_level=None)
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise FacefleetError(
                f"cannot use {path}, the file of what was proved ({error}): delete it, or correct "
                "FACEFLEET_PROOFS"
            ) from error

    def close(self) -> None:
        self._db.close()

    def newest(self, outbox: str, number: int) -> int:
        """Record the number of a head. Return the highest one recorded so far."""
        return self._db.execute(
            "INSERT INTO heads VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET number = max(number, excluded.number) RETURNING number",
            (outbox, number),
        ).fetchone()[0]

    def day(self, outbox: str, day: date, name: DigestName) -> Day | None:
        """Return the digest of a day if it is the one of that name."""
        row = self._db.execute(
            "SELECT payload FROM days WHERE outbox = ? AND day = ? AND name = ?",
            (outbox, day.isoformat(), name.name),
        ).fetchone()
        return Day.decode(row[0]) if row else None

    def keep(self, outbox: str, name: DigestName, day: Day) -> None:
        """Keep the digest of a day, and the proofs of the hours that it leaves unchanged."""
        row = self._db.execute(
            "SELECT payload, proved, since FROM days WHERE outbox = ? AND day = ?",
            (outbox, day.day.isoformat()),
        ).fetchone()
        proved, since = 0, time.time()
        if row and (former := Day.decode(row[0])):
            same = [h for h, claim in day.hours.items() if former.hours.get(h) == claim]
            proved, since = row[1] & sum(1 << hour for hour in same), row[2]
        self._db.execute(
            "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?, ?, ?)",
            (outbox, day.day.isoformat(), name.name, day.encode(), proved, since),
        )

    def proved(self, outbox: str, day: date) -> set[int]:
        """Return the hours (0 to 23) of a day whose proof is still valid."""
        row = self._db.execute(
            "SELECT proved FROM days WHERE outbox = ? AND day = ? AND since > ?",
            (outbox, day.isoformat(), time.time() - VALID),
        ).fetchone()
        return {hour for hour in range(24) if row and row[0] >> hour & 1}

    def prove(self, outbox: str, day: date, hours: set[int]) -> None:
        """Record exactly these hours as proved."""
        mask = sum(1 << hour for hour in hours)
        fresh = len(hours) and not self.proved(outbox, day)
        self._db.execute(
            "UPDATE days SET proved = ?, since = CASE WHEN ? THEN ? ELSE since END"
            " WHERE outbox = ? AND day = ?",
            (mask, bool(fresh), time.time(), outbox, day.isoformat()),
        )

    def forget_before(self, day: date) -> None:
        """Forget days whose faces the bucket's lifecycle has deleted."""
        self._db.execute("DELETE FROM days WHERE day < ?", (day.isoformat(),))
