"""How much may be in flight, and how long nothing may be confirmed: congestion control, pure.

What many senders share (a link, a broker's queue) collapses when each sends all that it has. So the
limit starts small on a new way, grows by what is confirmed, and falls when the way stalls, or loses
what it is slow to carry: on a slow way that is a queue that overflows, on a brisk one an accident.
The limit counts bytes: on a thin link a large face takes its time, and what merely queues must not
be resent.
"""

import random

UNIT = 8 << 10  # bytes that a face counts at least
START, FLOOR = 8, 4  # units
BRISK = 0.5  # seconds of a round trip: up to this the limit doubles with each
SLOWEST_GROWTH = 1 / 16  # a round trip
STALL_FIRST = 5.0  # seconds, until a round trip was measured
STALL, STALL_MAX = 2.0, 10.0  # seconds
STALL_AGAIN = 15.0  # seconds at most from one stall to the next, while nothing is confirmed
THINNEST = 8 << 10  # bytes a second of the thinnest link that is not taken for a stall
SPREAD = 1.5  # at most that many times the patience: a fleet's stalls begin together
SMOOTH = 8


class Pace:
    """The limit of one sender, in bytes, and its patience, in seconds."""

    def __init__(self, largest: int, dice: random.Random) -> None:
        self._largest = largest * UNIT
        self._dice = dice
        self.restart(START)

    def restart(self, units: int) -> None:
        """The way is new, and nothing is known of it."""
        self.limit = min(self._largest, units * UNIT)
        self._trip: float | None = None  # seconds, smoothed
        self._ahead = 0.0  # bytes in flight that took so long
        self._eased = 0.0  # when the limit was last cut
        self.stalls = 0  # in a row
        self._spread = self._dice.uniform(1, SPREAD)

    @property
    def round_trip(self) -> float:
        """Seconds; 0 where nothing is known yet."""
        return self._trip or 0.0

    def measured(self, trip: float, ahead: int) -> None:
        """A face that was sent once was confirmed; `ahead`: bytes in flight when it was sent."""
        if self._trip is None:
            self._trip, self._ahead = trip, ahead
        else:
            self._trip += (trip - self._trip) / SMOOTH
            self._ahead += (ahead - self._ahead) / SMOOTH

    def confirmed(self, size: int) -> None:
        """A face was confirmed."""
        growth = (BRISK / max(BRISK, self.round_trip)) ** 2
        self.limit = min(self._largest, self.limit + int(size * max(growth, SLOWEST_GROWTH)))
        self.stalls = 0

    def lost(self, now: float) -> None:
        """A face was lost on its way."""
        if self.round_trip >= BRISK and now >= self._eased + self.round_trip:
            self._cut(self.limit // 2)
            self._eased = now

    def stalled(self) -> None:
        """Nothing was confirmed for as long as `patience` says."""
        self._cut((FLOOR >> self.stalls) * UNIT)
        self.stalls += 1
        self._spread = self._dice.uniform(1, SPREAD)

    def _cut(self, limit: int) -> None:
        self.limit = min(self.limit, max(UNIT, limit))

    def patience(self, size: int, ahead: int) -> float:
        """How long nothing may be confirmed, by the size of the face that is due first.

        `ahead`: bytes in flight when it was sent.
        """
        if self._trip is None:
            expected = STALL_FIRST
        else:
            expected = max(STALL, 4 * self._trip * max(1.0, ahead / self._ahead))
        thin = size / THINNEST
        first = min(expected, STALL_MAX) + thin
        return min(first * 2**self.stalls, STALL_AGAIN + thin) * self._spread
