"""Many outboxes with a backlog that one cloud gets at once: rows of the fault matrix of their own.

Each outbox is filled beforehand, and has a sender of its own that speaks to the cloud's broker; a
few processes hold all of them. What the bucket holds is compared by content.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import md5
from multiprocessing.connection import Connection
from pathlib import Path

from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health
from facefleet.logging import configure_logging
from pydantic import AnyUrl

from benchmarks.feeder import CAMERA, face
from support.rig import AWS, BUCKET, Rig, await_true, contents, ready
from support.shell import facefleet

HELD = 100  # outboxes a process
SETTLE = 2.5  # seconds: a PUT that was made twice shows by then
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Crowd:
    """What waits when the cloud comes up."""

    outboxes: int
    faces: int  # in each
    processors: int = 1
    days: float = 0  # over which they were captured

    @property
    def all(self) -> int:
        return self.outboxes * self.faces

    def short(self) -> "Crowd":
        return Crowd(self.outboxes // 5, self.faces // 10, self.processors, self.days)


CROWDS = {
    "100-outboxes": Crowd(100, 200),
    "300-outboxes": Crowd(300, 100),
    "300-two-processors": Crowd(300, 100, processors=2),
    "a-day-away": Crowd(20, 2000, days=1),
}


@dataclass(frozen=True)
class Outcome:
    """What became of a crowd's faces."""

    stored: int
    lost: int
    duplicates: int
    resent: int
    extra_puts: int
    seconds: float
    problem: str


def drain(crowd: Crowd, deadline: float) -> Outcome:
    """Fill the outboxes, bring the cloud up, and wait until each face is confirmed."""
    with tempfile.TemporaryDirectory(prefix="facefleet-crowd-") as name, Rig(Path(name)) as rig:
        _, port = rig.mosquitto("cloud")
        control, endpoint = rig.s3()
        for n in range(crowd.processors):
            _, url = rig.service(
                "processor",
                wait=False,
                instance=f"-{n}",
                broker=f"mqtt://127.0.0.1:{port}",
                bucket=BUCKET,
                AWS_ENDPOINT_URL=endpoint,
                **({"share": "processors"} if crowd.processors > 1 else {}),
            )
            await_true(lambda url=url: ready(url), "the processor is ready", deadline)
        with _holders(crowd, port, rig.folder) as pipes:
            began = time.monotonic()
            for pipe in pipes:
                pipe.send(deadline)
            found = [pipe.recv() for pipe in pipes]  # confirmed, resent
            seconds = time.monotonic() - began
        time.sleep(SETTLE)
        tags = contents(endpoint)
        expected = {md5(face(n), usedforsecurity=False).hexdigest() for n in range(crowd.all)}
        stored = len(expected.intersection(tags))
        problem = ""
        if sum(confirmed for confirmed, _ in found) < crowd.all:
            problem = f"not within {deadline:.0f} s: all faces are confirmed"
        elif crowd.outboxes <= HELD:
            problem = _audit(endpoint, rig.folder.glob("*.sqlite"))
        return Outcome(
            stored=stored,
            lost=crowd.all - stored,
            duplicates=len(tags) - len(set(tags)),
            resent=sum(resent for _, resent in found),
            extra_puts=control.counters()["puts"] - stored,
            seconds=round(seconds, 1),
            problem=problem,
        )


def _audit(endpoint: str, paths: Iterable[Path]) -> str:
    where = {"AWS_ENDPOINT_URL": endpoint, "BUCKET": BUCKET, **AWS}
    found = facefleet("audit", *map(str, paths), **where)
    return found.stderr.strip()[-500:] if found.returncode else ""


@contextmanager
def _holders(crowd: Crowd, port: int, folder: Path) -> Iterator[list[Connection]]:
    """Processes that hold the outboxes, filled."""
    pipes, processes = [], []
    try:
        for first in range(0, crowd.outboxes, HELD):
            numbers = range(crowd.outboxes)[first : first + HELD]
            pipe, theirs = _SPAWN.Pipe()
            processes.append(
                _SPAWN.Process(target=_hold, args=(theirs, crowd, numbers, port, folder))
            )
            processes[-1].start()
            theirs.close()
            pipes.append(pipe)
        for pipe in pipes:
            pipe.recv()
        yield pipes
    finally:
        for process in processes:
            process.join(30)
            if process.is_alive():
                process.kill()
                process.join()


def _hold(pipe: Connection, crowd: Crowd, numbers: Iterable[int], port: int, folder: Path) -> None:
    configure_logging("crowd", "critical")
    apart = timedelta(days=crowd.days) / crowd.faces
    since = datetime.now(UTC) - timedelta(days=crowd.days)
    held: list[tuple[Outbox, Sender]] = []
    for number in numbers:
        outbox = Outbox(folder / f"{number}.sqlite", f"edge-{number}", CAMERA, 1 << 30)
        first = number * crowd.faces
        outbox.add([(since + n * apart, face(first + n)) for n in range(crowd.faces)])
        broker = AnyUrl(f"mqtt://127.0.0.1:{port}")
        held.append((outbox, Sender(outbox, broker, 0, 256, Health("broker"))))
    pipe.send("filled")
    end = time.monotonic() + pipe.recv()
    for _, sender in held:
        sender.start()
    while time.monotonic() < end and any(outbox.counts.pending for outbox, _ in held):
        time.sleep(0.1)
    pipe.send((sum(o.counts.stored for o, _ in held), sum(sender.resent for _, sender in held)))
    for _, sender in held:
        sender.stop()
