"""The rules of a link: whether a packet arrives, and when. Pure: the time is passed in, in seconds.

A direction of a link sends one packet after the other at its rate. Packets wait in a queue of a
limited size, and are dropped when it is full. What was sent is lost at random, or in an outage;
what was not takes half a round trip to arrive. There is no jitter, and no packet overtakes another.
"""

import math
import random
from dataclasses import dataclass

SMALLEST_QUEUE = 3000  # bytes: two full packets


@dataclass(frozen=True)
class Link:
    """The properties of a link, which are the same in both directions."""

    rate: float  # bits per second
    round_trip: float  # seconds of propagation, there and back
    loss: float = 0.0  # share of the packets, in each direction
    outage: float = 0.0  # seconds without a connection, in the middle of each period
    period: float = math.inf  # seconds
    buffer: float = 1.0  # seconds that a full queue takes to be sent

    @property
    def queue(self) -> float:
        """Bytes that wait in a direction, at most."""
        return max(SMALLEST_QUEUE, self.buffer * self.rate / 8)

    def is_down(self, since_start: float) -> bool:
        """Return whether nothing gets through at that time."""
        if not self.outage:
            return False
        return abs(since_start % self.period - self.period / 2) < self.outage / 2

    def capacity(self, begin: float, end: float) -> float:
        """Return how many bytes a direction can carry from `begin` to `end`."""
        if not self.outage:
            return (end - begin) * self.rate / 8
        return (self._up_until(end) - self._up_until(begin)) * self.rate / 8

    def _up_until(self, end: float) -> float:
        """Return how many seconds the link was up since its start."""
        periods, rest = divmod(end, self.period)
        first = (self.period - self.outage) / 2
        down = periods * self.outage + min(max(0.0, rest - first), self.outage)
        return end - down


@dataclass
class Traffic:
    """What a direction has carried, with the headers of IP and TCP."""

    bytes: int = 0  # sent, including what was lost
    packets: int = 0
    lost: int = 0  # packets of these
    dropped: int = 0  # packets that found the queue full, and were not sent

    def __sub__(self, before: "Traffic") -> "Traffic":
        return Traffic(
            self.bytes - before.bytes,
            self.packets - before.packets,
            self.lost - before.lost,
            self.dropped - before.dropped,
        )


class Line:
    """One direction of a link that starts at the time `start`."""

    def __init__(self, link: Link, seed: int, start: float) -> None:
        self.traffic = Traffic()
        self._link = link
        self._start = start
        self._dice = random.Random(seed)
        self._free = start  # when everything in the queue has been sent

    def send(self, size: int, now: float) -> float | None:
        """Take a packet of `size` bytes. Return when it arrives, or None if it never does."""
        rate = self._link.rate / 8
        begin = max(now, self._free)
        if (begin - now) * rate + size > self._link.queue:
            self.traffic.dropped += 1
            return None
        self._free = begin + size / rate
        self.traffic.bytes += size
        self.traffic.packets += 1
        unlucky = self._dice.random() < self._link.loss
        if unlucky or self._link.is_down(begin - self._start):
            self.traffic.lost += 1
            return None
        return self._free + self._link.round_trip / 2
