"""A link between two network namespaces: a process that passes IP packets from TUN to TUN device.

The cloud's end is in the namespace of the caller, the edge's in a namespace of the process.
"""

import contextlib
import math
import multiprocessing
import os
import select
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from benchmarks.link.model import Line, Link, Traffic
from benchmarks.link.network import new_network, open_tun

_SPAWN = multiprocessing.get_context("spawn")
_LARGEST = 1 << 16  # bytes of a packet
_IPV4 = 4
_AT_ONCE = 64  # packets read before others are delivered
LATE = 0.020  # seconds


@dataclass
class Counters:
    """What the link has carried so far, and how well it was simulated."""

    at: float = 0.0  # monotonic seconds
    up: Traffic = field(default_factory=Traffic)  # from the edge to the cloud
    down: Traffic = field(default_factory=Traffic)
    late: int = 0  # packets delivered LATE after their time or later, as the machine was busy

    def __sub__(self, before: "Counters") -> "Share":
        return Share(
            before.at,
            self.at,
            self.up - before.up,
            self.down - before.down,
            self.late - before.late,
        )


@dataclass(frozen=True)
class Share:
    """What the link carried from `begin` to `end` (monotonic seconds)."""

    begin: float
    end: float
    up: Traffic
    down: Traffic
    late: int


class Tunnel:
    """A link, as seen by the process that uses it. A context manager that removes it."""

    def __init__(self, number: int, link: Link, seed: int) -> None:
        self.cloud, self.edge = f"10.77.{number}.1", f"10.77.{number}.2"  # addresses
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_carry, args=(theirs, f"link{number}", self.cloud, self.edge, link, seed)
        )
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def __enter__(self) -> "Tunnel":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def pid(self) -> int:
        """The process, in the namespace of the edge."""
        return self._process.pid

    def become(self, link: Link) -> float:
        """Start another link in the place of this one, and return when. The counters continue."""
        self._pipe.send(link)
        return self._pipe.recv()

    def counters(self) -> Counters:
        self._pipe.send(None)
        return self._pipe.recv()


class _Way:
    """A direction, with the packets that are under way."""

    def __init__(self, source: int, target: int, traffic: Traffic) -> None:
        self._source, self._target = source, target
        self._traffic = traffic
        self._under_way: deque[tuple[float, bytes]] = deque()
        self.late = 0

    def start(self, line: Line) -> None:
        line.traffic = self._traffic
        self._line = line

    def take(self, now: float) -> None:
        """Read packets that have been sent into this direction."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                packet = os.read(self._source, _LARGEST)
                if packet[0] >> 4 != _IPV4:
                    continue  # IPv6 looks for neighbours, which does not belong to the traffic
                if (due := self._line.send(len(packet), now)) is not None:
                    self._under_way.append((due, packet))

    def deliver(self, now: float) -> float:
        """Deliver the packets that are due. Return when the next one is."""
        while self._under_way and self._under_way[0][0] <= now:
            due, packet = self._under_way.popleft()
            self.late += now - due >= LATE
            os.write(self._target, packet)
        return self._under_way[0][0] if self._under_way else math.inf


def _carry(pipe: Connection, name: str, cloud: str, edge: str, link: Link, seed: int) -> None:
    """Pass packets until this process is ended."""
    below = open_tun(name, cloud, edge)
    new_network()
    above = open_tun(name, edge, cloud)
    counters = Counters()
    ways = _Way(above, below, counters.up), _Way(below, above, counters.down)

    def start(link: Link) -> None:
        now = time.monotonic()
        for n, way in enumerate(ways):
            way.start(Line(link, 2 * seed + n, now))
        pipe.send(now)

    start(link)
    while True:
        now = time.monotonic()
        due = min(way.deliver(now) for way in ways)
        wait = None if due == math.inf else max(0.0, due - time.monotonic())
        ready, _, _ = select.select([above, below, pipe], [], [], wait)
        now = time.monotonic()
        if above in ready:
            ways[0].take(now)
        if below in ready:
            ways[1].take(now)
        if pipe in ready:
            if (order := pipe.recv()) is None:
                counters.at = now
                counters.late = sum(way.late for way in ways)
                pipe.send(counters)
            else:
                start(order)
