"""Record for each minute (UTC) how many seconds a camera saw, and why it did not see the others.

Seconds are measured by the monotonic clock, and recorded under the minute that the wall clock shows
then. A clock that jumps thus adds no seconds and takes none. A minute that is recorded twice, after
a clock was set back or by two runs of the detector, has at most 60 s: the earlier ones stay.
"""

import math
import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from facefleet.delivery.database import Database
from facefleet.views import NO_STREAM, OFF, STALLED

MINUTE = 60  # seconds
MINUTES_A_DAY = 1440
MOST_ROWS = 100_000  # older ones are deleted; a month with a fault in every minute has fewer
PATIENCE = 10.0  # seconds without a look at a frame until a detector counts as stalled


class Range(NamedTuple):
    """Minutes in each of which the camera was in `state` for `seconds`."""

    first: int  # minutes since 1970
    last: int
    state: str
    seconds: int


class Meter:
    """Measures for how long a camera is in which state. Threads may share it.

    Times: `now` in monotonic seconds, `wall` in seconds since 1970.
    """

    def __init__(self, fps: float, now: float) -> None:
        self._patience = max(PATIENCE, 3 / fps)
        self._state = NO_STREAM
        self._looked = now
        self._measured = now
        self._minutes: dict[int, dict[str, float]] = {}
        self._lock = threading.Lock()

    def looked(self, now: float, wall: float) -> None:
        """Note that the detector has looked at a frame."""
        if now - self._looked > self._patience:
            with self._lock:
                self._measure(now, wall)  # the pause, before it is over
        self._looked = now

    def change(self, state: str, now: float, wall: float) -> None:
        """Begin another state."""
        with self._lock:
            self._measure(now, wall)
            self._state, self._looked = state, max(now, self._looked)

    def minutes(self, now: float, wall: float, *, running: bool) -> dict[int, dict[str, int]]:
        """Return whole seconds by minute and state, with or without the minute that is running."""
        with self._lock:
            self._measure(now, wall)
            return {
                minute: _whole(seconds)
                for minute, seconds in self._minutes.items()
                if running or minute != int(wall // MINUTE)
            }

    def forget(self, minutes: Iterable[int]) -> None:
        """Drop minutes that have been recorded."""
        with self._lock:
            for minute in minutes:
                del self._minutes[minute]

    def _measure(self, now: float, wall: float) -> None:
        if now <= self._measured:  # another thread has measured meanwhile
            return
        ahead = wall - now
        begin, self._measured = self._measured, now
        stalled = now
        if self._state not in (NO_STREAM, OFF):
            stalled = min(now, max(begin, self._looked + self._patience))
        self._add(self._state, begin + ahead, stalled + ahead)
        self._add(STALLED, stalled + ahead, now + ahead)

    def _add(self, state: str, begin: float, end: float) -> None:
        while begin < end:
            minute = int(begin // MINUTE)
            until = min(end, float((minute + 1) * MINUTE))
            seconds = self._minutes.setdefault(minute, {})
            seconds[state] = seconds.get(state, 0.0) + until - begin
            begin = until


def record(db: Database, minutes: Mapping[int, Mapping[str, int]]) -> None:
    """Add seconds by minute and state, within a transaction."""
    for minute, seconds in sorted(minutes.items()):
        recorded = dict(
            db.execute(
                "SELECT state, seconds FROM coverage WHERE last >= ?1 AND first <= ?1", (minute,)
            ).fetchall()
        )
        room = MINUTE - sum(recorded.values())
        for state, wanted in seconds.items():
            added = min(wanted, room)
            if added > 0:
                room -= added
                _write(db, minute, state, recorded.get(state, 0) + added)
    newest = db.value("SELECT coalesce(max(rowid), 0) FROM coverage")
    db.execute("DELETE FROM coverage WHERE rowid <= ?", (newest - MOST_ROWS,))


def _write(db: Database, minute: int, state: str, seconds: int) -> None:
    """Set the seconds of one state in one minute. Ranges that are equal are merged."""
    found = db.execute(
        "DELETE FROM coverage WHERE last >= ?1 AND first <= ?1 AND state = ?2"
        " RETURNING first, last, state, seconds",
        (minute, state),
    ).fetchall()
    for first, last, *rest in found:
        for part in ((first, minute - 1), (minute + 1, last)):
            if part[0] <= part[1]:
                db.execute("INSERT INTO coverage VALUES (?, ?, ?, ?)", (*part, *rest))
    extended = db.execute(
        "UPDATE coverage SET last = ?1 WHERE last = ?1 - 1 AND state = ?2 AND seconds = ?3",
        (minute, state, seconds),
    )
    if not extended.rowcount:
        row = Range(minute, minute, state, seconds)
        db.execute("INSERT INTO coverage VALUES (?, ?, ?, ?)", row)


def prune(db: Database, day: int) -> None:
    """Delete what was recorded before a day, in days since 1970, within a transaction."""
    db.execute("DELETE FROM coverage WHERE last < ?", (day * MINUTES_A_DAY,))


def read(db: Database) -> list[Range]:
    """Return all that is recorded, in the order of time."""
    rows = db.execute("SELECT first, last, state, seconds FROM coverage ORDER BY first, rowid")
    return [Range(*row) for row in rows]


def _whole(seconds: Mapping[str, float]) -> dict[str, int]:
    """Round so that the sum is right, too."""
    whole = {state: math.floor(value) for state, value in seconds.items()}
    missing = round(sum(seconds.values())) - sum(whole.values())
    by_rest = sorted(seconds, key=lambda state: whole[state] - seconds[state])
    for state in by_rest[: max(0, missing)]:
        whole[state] += 1
    return {state: value for state, value in whole.items() if value}
