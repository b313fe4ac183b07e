"""Congestion control: how many bytes may be in flight, and when silence counts as a stall.

A link or a broker's queue that many senders share collapses if each sends all it has. So the limit
starts small on a new connection, grows with each confirmation, and falls on a stall. It also falls
on a loss if the connection is slow, as a queue is then likely to have overflowed; on a fast one, a
loss is taken for an accident. The limit counts bytes: a large face takes long on a narrow link, and
faces that are merely queued must not be resent.

A full link shows as a delay: a fresh face waits behind the faces that queue in front of the link.
So the limit also falls while all recent round trips take more than QUEUE longer than on the idle
link. A queue delays every face. A packet that TCP repeats delays only the faces behind it.
"""

import random
from collections import deque

UNIT = 8 << 10  # minimum number of bytes that a face counts as
START, FLOOR = 8, 4  # units
FAST = 0.5  # seconds: up to this round-trip time, the limit doubles with each round trip
SLOWEST_GROWTH = 1 / 16  # per round trip
STALL_FIRST = 5.0  # seconds until a stall before a round trip has been measured
STALL, STALL_MAX = 2.0, 10.0  # seconds until a stall
STALL_AGAIN = 15.0  # maximum seconds between stalls while nothing is confirmed
SLOWEST_LINK = 8 << 10  # bytes per second; a slower link counts as stalled
SPREAD = 1.5  # maximum random factor of the timeout, as stalls of a fleet begin together
SMOOTH = 8
QUEUE = 2.0  # seconds that faces may queue: enough to keep a link busy, short for a fresh face
RECENT = 8  # round trips
QUEUE_FLOOR = 2  # units; one is on the link while the receipt of the other returns
LONGEST_IDLE = 10.0  # seconds of latency; a longer delay is a queue, perhaps of other senders


class Pace:
    """The limit of one sender, in bytes, and its stall timeout, in seconds."""

    def __init__(self, largest: int, dice: random.Random) -> None:
        self._largest = largest * UNIT
        self._dice = dice
        self.restart(START)

    def restart(self, units: int) -> None:
        """Start over on a new connection, of which nothing is known."""
        self.limit = min(self._largest, units * UNIT)
        self._trip: float | None = None  # seconds, smoothed
        self._idle = LONGEST_IDLE  # seconds of a round trip on the idle link
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._ahead = 0.0  # bytes that were in flight during such a round trip, smoothed
        self._eased = 0.0  # when the limit was last cut due to a loss
        self.stalls = 0  # consecutive
        self._spread = self._dice.uniform(1, SPREAD)

    @property
    def round_trip(self) -> float:
        """Seconds; 0 if not measured yet."""
        return self._trip or 0.0

    def measured(self, trip: float, ahead: int) -> None:
        """Record the round trip of a face that was sent once, with `ahead` bytes in flight."""
        self._idle = min(self._idle, trip)
        self._recent.append(trip)
        if self._trip is None:
            self._trip, self._ahead = trip, ahead
        else:
            self._trip += (trip - self._trip) / SMOOTH
            self._ahead += (ahead - self._ahead) / SMOOTH

    def confirmed(self, size: int) -> None:
        """Adapt the limit after a face of `size` bytes was confirmed."""
        if self._trip is not None:  # else the queue may exceed the timeout, and all be resent
            self.stalls = 0
        delay = min(self._recent, default=0.0) - self._idle
        if (excess := delay - max(QUEUE, self._idle / 2)) > 0:
            self._shorten_queue(int(size * min(excess, 0.5)))
            return
        growth = (FAST / max(FAST, self.round_trip)) ** 2
        self.limit = min(self._largest, self.limit + int(size * max(growth, SLOWEST_GROWTH)))

    def _shorten_queue(self, size: int) -> None:
        floor = QUEUE_FLOOR * UNIT
        if self.limit <= floor:  # the delay is not of this sender's making
            self._idle = min(min(self._recent), LONGEST_IDLE)
        else:
            self.limit = max(floor, self.limit - size)

    def lost(self, now: float) -> None:
        """Cut the limit after a face was lost, at most once per round trip."""
        if self.round_trip >= FAST and now >= self._eased + self.round_trip:
            self._cut(self.limit // 2)
            self._eased = now

    def stalled(self) -> None:
        """Cut the limit after nothing was confirmed for `stall_timeout` seconds."""
        self._cut((FLOOR >> self.stalls) * UNIT)
        self.stalls += 1
        self._spread = self._dice.uniform(1, SPREAD)

    def _cut(self, limit: int) -> None:
        self.limit = min(self.limit, max(UNIT, limit))

    def stall_timeout(self, size: int, ahead: int) -> float:
        """Return after how many seconds without a confirmation the connection counts as stalled.

        `size`: of the face sent first, in bytes; `ahead`: bytes in flight when it was sent.
        """
        if self._trip is None:
            expected = STALL_FIRST
        else:
            expected = max(STALL, 4 * self._trip * max(1.0, ahead / self._ahead))
        transfer = size / SLOWEST_LINK
        first = min(expected, STALL_MAX) + transfer
        return min(first * 2**self.stalls, STALL_AGAIN + transfer) * self._spread
