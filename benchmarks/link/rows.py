"""The links that are measured, and how: every way to send faces at the same time.

Each way has a link of its own, with the same seed, so that all of them meet the same machine. A row
has these stages:
1. The link starts as every way begins to send its backlog. A fresh face is added now and then.
2. After a warm-up, bytes and delays are measured.
3. The link becomes fast, so that what is left arrives. What then is missing is lost.
4. The link starts again, and carries what an idle device sends.
"""

import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.feeder import DEVICE
from benchmarks.link import edge
from benchmarks.link.cloud import START, Far
from benchmarks.link.edge import QOS, Site
from benchmarks.link.faces import sample_crops
from benchmarks.link.model import Link
from benchmarks.link.network import new_network
from benchmarks.link.results import (
    HOUR,
    Captured,
    Result,
    delays,
    lost_and_twice,
    percentile,
    stored_between,
)
from benchmarks.link.tunnel import Share, Tunnel
from benchmarks.progress import Progress
from support.rig import Rig, await_true

SEED = 1
FAST = 100e6  # bits per second
MARGIN = 1.3  # of the backlog over what the link can carry
FRESH_SHARE = 0.1  # of the line rate
QUIET = 30.0  # seconds without a new object: no more will come
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Row:
    """A link, and for how long it is measured, in seconds."""

    title: str
    link: Link
    drain: float
    idle: float
    warm_up: float = 20.0
    patience: float = 20.0  # a fresh face that is captured so short before the end is not measured
    settle: float = 20.0  # from the last face until a device counts as idle
    faces: int = 2000  # of the backlog, at least: a day's

    def short(self) -> "Row":
        """Return a row for a first look, in which even outages are short."""
        link = replace(self.link, outage=self.link.outage / 6, period=self.link.period / 6)
        return replace(self, link=link, drain=50, idle=20, patience=10)


ROWS = {
    "narrow": Row(
        "128 kbit/s, 300 ms, 2% loss",
        Link(rate=128e3, round_trip=0.3, loss=0.02),
        drain=200,
        idle=120,
    ),
    "satellite": Row("512 kbit/s, 600 ms", Link(rate=512e3, round_trip=0.6), drain=120, idle=120),
    "4g": Row(
        "2 Mbit/s, 80 ms, 30 s without a link in every 5 min",
        Link(rate=2e6, round_trip=0.08, outage=30, period=300),
        drain=300,
        idle=300,
    ),
}


def measure(name: str, row: Row, ways: Sequence[str]) -> list[Result]:
    """Run one row in a process of its own, as it moves into another network namespace."""
    pipe, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_run, args=(theirs, name, row, ways))
    process.start()
    theirs.close()
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError(f"{name} has failed; the reason is above") from None
    finally:
        process.join()


def _run(pipe: Connection, name: str, row: Row, ways: Sequence[str]) -> None:
    new_network()
    crops = sample_crops()
    size = sum(map(len, crops)) / len(crops)
    with tempfile.TemporaryDirectory(prefix="facefleet-link-") as folder, ExitStack() as stack:
        lanes = [
            stack.enter_context(_Lane(number, way, row, crops, size, Path(folder, str(number))))
            for number, way in enumerate(ways)
        ]
        pipe.send(_measure(name, row, lanes))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    Progress().say(
        f"{name}: faces of {size:.0f} bytes on average; CPU {used.ru_utime + used.ru_stime:.0f} s "
        f"on {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}"
    )


def _measure(name: str, row: Row, lanes: "list[_Lane]") -> list[Result]:
    watch = _Watch(name, lanes)
    for lane in lanes:
        lane.go()
    watch.wait("warming up", row.warm_up)
    before = [lane.tunnel.counters() for lane in lanes]
    watch.wait("draining", row.drain)
    after = [lane.tunnel.counters() for lane in lanes]
    for lane in lanes:
        lane.end_feeding()
    _until_still(watch, lanes)
    for lane in lanes:
        lane.tunnel.become(row.link)
    watch.wait("idle", row.settle)
    idle_before = [lane.tunnel.counters() for lane in lanes]
    watch.wait("idle", row.idle)
    idle_after = [lane.tunnel.counters() for lane in lanes]
    return [
        lane.result(after_drain - before_drain, after_idle - before_idle)
        for lane, before_drain, after_drain, before_idle, after_idle in zip(
            lanes, before, after, idle_before, idle_after, strict=True
        )
    ]


class _Lane:
    """One way to send faces, with its link and both ends."""

    def __init__(
        self, number: int, way: str, row: Row, crops: list[bytes], size: float, folder: Path
    ) -> None:
        self.way = way
        self.captured: dict[int, Captured] = {}  # by number in the outbox
        self._row, self._crops, self._size = row, crops, size
        self._number, self._folder = number, folder
        self._stack = ExitStack()

    def __enter__(self) -> "_Lane":
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        row, folder = self._row, self._folder
        near = folder / "edge"
        near.mkdir(parents=True)
        self.tunnel = stack.enter_context(Tunnel(self._number, row.link, SEED))
        rig = stack.enter_context(Rig(folder))
        self.far = Far(rig, self.tunnel.cloud, QOS.get(self.way, 0))
        stack.callback(self.far.close)
        room = row.link.capacity(0, row.warm_up + row.drain) / self._size
        site = Site(
            namespace=self.tunnel.pid,
            folder=near,
            host=self.tunnel.cloud,
            port=self.far.broker.port,
            tls=self.far.tls,
            crops=self._crops,
            backlog=max(row.faces, int(MARGIN * room)),
            fresh_every=self._size / (FRESH_SHARE * row.link.rate / 8),
        )
        self._pipe, theirs = _SPAWN.Pipe()
        self._edge = _SPAWN.Process(target=edge.run, args=(theirs, self.way, site))
        self._edge.start()
        stack.callback(self._end)
        theirs.close()
        self._receive()
        await_true(lambda: self.far.broker.connections(DEVICE), f"{self.way} is connected", START)

    def _end(self) -> None:
        with suppress(OSError):  # it has failed
            self._pipe.send("leave")
        self._edge.join(60)
        if self._edge.is_alive():
            self._edge.kill()
            self._edge.join()

    def go(self) -> None:
        self._went = self.tunnel.become(self._row.link)
        self._pipe.send("go")

    def end_feeding(self) -> None:
        """Learn what was captured, and let what is left arrive."""
        self._pipe.send("stop feeding")
        self.captured = dict(enumerate(self._receive(), 1))
        # With its round trip, or TCP would resend for a while what a slow link merely delays.
        self.tunnel.become(Link(FAST, self._row.link.round_trip))

    def result(self, drain: Share, idle: Share) -> Result:
        """Compute the figures, of what the link carried meanwhile."""
        link, stored = self._row.link, self.far.stored
        capacity = link.capacity(drain.begin - self._went, drain.end - self._went)
        stored_bytes = stored_between(self.captured, stored, drain.begin, drain.end)
        waits = delays(self.captured, stored, drain.begin, drain.end, self._row.patience)
        lost, twice = lost_and_twice(self.captured.values(), self.far.etags())
        hours = (idle.end - idle.begin) / HOUR
        return Result(
            name=self.way,
            seconds=round(drain.end - drain.begin, 1),
            captured=len(self.captured),
            stored_bytes=stored_bytes,
            goodput=stored_bytes / capacity,
            wire_up=drain.up.bytes / max(1, stored_bytes),
            wire_down=drain.down.bytes / max(1, stored_bytes),
            fresh=len(waits),
            fresh_p50=percentile(waits, 0.5),
            fresh_p99=percentile(waits, 0.99),
            idle_up=idle.up.bytes / hours,
            idle_down=idle.down.bytes / hours,
            lost=lost,
            twice=twice,
            sent=drain.up.bytes / capacity,
            line_lost=drain.up.lost + drain.down.lost,
            line_dropped=drain.up.dropped + drain.down.dropped,
            late=drain.late / max(1, drain.up.packets + drain.down.packets),
        )

    def has_all(self) -> bool:
        return len(self.far.stored) >= len(self.captured)

    def _receive(self) -> object:
        try:
            return self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"the edge of {self.way} has failed; the reason is above") from None


def _until_still(watch: "_Watch", lanes: "Iterable[_Lane]") -> None:
    """Wait until every way has delivered everything, or delivers nothing any more."""
    for lane in lanes:
        stored, since = -1, time.monotonic()
        while not lane.has_all() and time.monotonic() - since < QUIET:
            if len(lane.far.stored) != stored:
                stored, since = len(lane.far.stored), time.monotonic()
            watch.wait("delivering the rest", 0.5)


class _Watch:
    """Waits, and says on stderr how it goes."""

    def __init__(self, name: str, lanes: "Iterable[_Lane]") -> None:
        self._name, self._lanes, self._progress = name, lanes, Progress()

    def wait(self, what: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._progress.is_due:
                counts = ", ".join(f"{lane.way} {len(lane.far.stored)}" for lane in self._lanes)
                self._progress.show(f"{self._name}: {what}, {left:.0f} s left; stored: {counts}")
            time.sleep(min(0.2, left))
