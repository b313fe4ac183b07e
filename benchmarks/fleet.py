"""What the fault matrix breaks: one device and its cloud as processes, in one shape or the other.

edge broker - forwarder - link - cloud broker - processors - S3, all on loopback.
"""

import contextlib
import http.client
import json
import re
import sqlite3
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facefleet.delivery.sender import CHECK_EVERY

from benchmarks.feeder import DEVICE, read_log
from benchmarks.passers import missed
from benchmarks.plain import start
from benchmarks.wan import Link
from support.rig import AWS, BUCKET, Process, Rig, contents, free_port, keys, ready, s3, unmet
from support.s3 import Control
from support.shell import facefleet

POLL = 0.05  # seconds
QUIET = 8.0  # seconds without a PUT: publish-and-hope is done
_RESENT = re.compile(r"^facefleet_faces_resent_total (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Load:
    """What a row is run with."""

    faces: int
    rate: float  # faces a second
    outage: float  # seconds that a fault lasts
    deadline: float  # seconds for anything that is waited for
    seed: int
    visits: bool = False  # the faces are pictures of visits, and the best of each are captured

    @property
    def captured(self) -> int:
        """Faces that are captured; with visits, at least."""
        return self.faces // 6 if self.visits else self.faces

    @property
    def backlog(self) -> int:
        """Faces that wait before the fault comes."""
        return max(30, self.captured // 10)

    @property
    def random_for(self) -> float:
        """Seconds."""
        return 6 * self.outage

    @property
    def step(self) -> int:
        """PUTs between one kill and the next."""
        return max(10, self.captured // 20)


class Fleet:
    """The parts that both shapes share; a context manager that ends what it started."""

    name: str
    far: float  # seconds a PUT that keep faces on their way while something is killed
    detector: Process
    forwarder: Process
    processors: list[Process]

    def __init__(self, rig: Rig, load: Load, broker: str, qos: int, s3_server: str) -> None:
        self.rig, self.load, self.qos = rig, load, qos
        start = {"mosquitto": rig.mosquitto, "embedded": rig.amqtt}[broker]
        self.edge_broker, self.edge = start("edge-broker")
        self.cloud_broker, self.cloud = start("cloud-broker")
        self.wan = free_port()
        self.link = Link(self.wan, self.cloud, load.seed)
        self.s3, self.endpoint = getattr(rig, s3_server)()
        self.log = rig.folder / "acknowledged.log"
        self._last_puts, self._moved = 0, time.monotonic()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()

    def start(self, replicas: int, step_back_at: int, folder: Path) -> None:
        """Start all but the detector, wait until it works, then the detector."""
        raise NotImplementedError

    # -- what is seen from outside ---------------------------------------------------------------

    def captured(self) -> int:
        return len(read_log(self.log))

    def captured_all(self) -> bool:
        """Whether the last of the faces was captured."""
        entries = read_log(self.log)
        return bool(entries) and entries[-1][0] == self.load.faces - 1

    def drained(self) -> bool:
        """Whether the edge waits for nothing any more."""
        raise NotImplementedError

    def puts(self) -> int:
        """Requests for a face that S3 has had; moto does not count them: 0."""
        return self.s3.counters()["puts"] if isinstance(self.s3, Control) else 0

    def still(self, seconds: float) -> bool:
        """Whether no PUT has been seen for so long; to be polled."""
        puts = self.puts()
        if puts != self._last_puts:
            self._last_puts, self._moved = puts, time.monotonic()
        return time.monotonic() - self._moved > seconds

    def sample(self) -> None:
        """Take down what would be lost with a process; to be called now and then."""

    def settle(self) -> None:
        """Wait for what comes late: a thawed processor's PUTs, the last metrics."""
        self._moved = time.monotonic()
        self.until(lambda: self.still(CHECK_EVERY + 0.2), "the PUTs end")

    def objects(self) -> Counter[str]:
        """The bucket's objects by content: MD5, how many."""
        return Counter(contents(self.endpoint))

    # -- what the rows wait for ------------------------------------------------------------------

    def until(self, what: Callable[[], object], because: str) -> None:
        """Poll until it is true. Raises TimeoutError after the load's deadline."""
        deadline = time.monotonic() + self.load.deadline
        while not what():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {self.load.deadline:.0f} s: {because}")
            time.sleep(POLL)

    def until_backlog(self) -> None:
        """While the way is down: until some more faces were captured."""
        goal = self.captured() + self.load.backlog
        self.until(lambda: self.captured() >= goal, "a backlog has gathered")

    def until_progress(self) -> None:
        """Until some more PUTs were made, or there is nothing left to make one for."""
        goal = self.puts() + self.load.step
        self.until(
            lambda: self.puts() >= goal or (self.captured_all() and self.drained()), "progress"
        )


class Facefleet(Fleet):
    """The app's own services, with the feeder as the detector."""

    name = "facefleet"
    far = 0.2

    def start(self, replicas: int, step_back_at: int, folder: Path) -> None:
        self.outbox = folder / "outbox.sqlite"
        self.shown = self.rig.folder / "shown.log"
        share = {"share": "processors"} if replicas > 1 else {}
        started = [
            self.rig.service(
                "processor",
                instance=f"-{n}",
                wait=False,
                broker=f"mqtt://127.0.0.1:{self.cloud}",
                bucket=BUCKET,
                qos=self.qos,
                AWS_ENDPOINT_URL=self.endpoint,
                **share,
            )
            for n in range(replicas)
        ]
        self.processors = [process for process, _ in started]
        self.forwarder, forwarder = self.rig.service(
            "forwarder",
            wait=False,
            device=DEVICE,
            edge_broker=f"mqtt://127.0.0.1:{self.edge}",
            cloud_broker=f"mqtt://127.0.0.1:{self.wan}",
            qos=self.qos,
        )
        for url in (forwarder, *(url for _, url in started)):
            self.until(lambda url=url: ready(url), "the services are ready")
        self.link.hole()
        self._http = f"127.0.0.1:{free_port()}"
        self.detector = self.rig.module(
            "benchmarks.feeder",
            *("--broker", f"mqtt://127.0.0.1:{self.edge}", "--qos", self.qos),
            *("--outbox", self.outbox, "--log", self.log, "--http", self._http),
            *("--count", self.load.faces, "--rate", self.load.rate),
            *("--step-back-at", step_back_at),
            *(("--shown", self.shown) if self.load.visits else ()),
        )
        self._resent_before = self._resent_now = 0

        self.until(lambda: ready(f"http://{self._http}"), "the feeder is ready")

    def drained(self) -> bool:
        with self._read() as db:
            return not db.execute("SELECT EXISTS (SELECT 1 FROM pending)").fetchone()[0]

    def missed(self) -> list[int]:
        """Return the visits without a face."""
        return missed(self.shown, {number for number, _ in read_log(self.log)})

    def audit(self, restored: bool) -> str:
        """What `facefleet audit` finds wrong, or nothing; once the feeder has ended.

        Of a `restored` outbox it is right to find objects that the outbox does not know. Where all
        is well an object is deleted, and then the audit has to name it.
        """
        found = self._audit()
        (account,) = json.loads(found.stdout)
        if not account["adds_up"] or account["counts"]["pending"] or account["missing"]["count"]:
            return f"the audit does not balance: {account}"
        if restored:
            return ""
        if found.returncode:
            return f"the audit ends with {found.returncode}: {found.stderr}"
        bucket = s3(self.endpoint)
        # The newest: an old one may have been given up by the outbox after it had been stored.
        key = max(keys(self.endpoint, "faces/"))
        bucket.delete_object(Bucket=BUCKET, Key=key)
        found = self._audit()
        (account,) = json.loads(found.stdout)
        named = account["missing"]["keys"] == [key] and found.returncode == 1
        return "" if named else f"the audit does not miss {key}: {found.stdout}"

    def _audit(self) -> subprocess.CompletedProcess[str]:
        where = {"AWS_ENDPOINT_URL": self.endpoint, "BUCKET": BUCKET, **AWS}
        return facefleet("audit", "--json", str(self.outbox), **where)

    def evicted(self) -> set[int]:
        """The seqs that the outbox says it gave up."""
        with self._read() as db:
            rows = db.execute("SELECT first, last FROM evicted").fetchall()
        return {seq for first, last in rows for seq in range(first, last + 1)}

    def tells_of_full_disk(self) -> bool:
        return bool(self.evicted()) or "disk" in unmet(f"http://{self._http}")

    def sample(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            with urllib.request.urlopen(f"http://{self._http}/metrics", timeout=2) as answer:
                now = int(float(_RESENT.search(answer.read().decode())[1]))
            if now < self._resent_now:  # another life
                self._resent_before += self._resent_now
            self._resent_now = now

    @property
    def resent(self) -> int:
        """Sendings beyond the first, in all lives of the feeder, as far as it said (every 2 s)."""
        return self._resent_before + self._resent_now

    @contextlib.contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        address = f"file:{self.outbox}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as db:
            yield db


class Plain(Fleet):
    """Publish and hope (benchmarks.plain). It is done when nothing has moved for a while."""

    name = "plain"
    far = 0  # one PUT after the other is slow enough

    def start(self, replicas: int, step_back_at: int, folder: Path) -> None:
        self.processors = [
            start(
                self.rig, "processor", self.cloud, BUCKET, self.qos, AWS_ENDPOINT_URL=self.endpoint
            )
        ]
        self.forwarder = start(self.rig, "relay", self.edge, self.wan, self.qos)
        self.link.hole()
        load = self.load
        self.detector = start(
            self.rig, "detector", self.edge, self.qos, self.log, load.faces, load.rate
        )

    def drained(self) -> bool:
        return self.still(QUIET)
