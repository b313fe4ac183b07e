"""The rows of the fault matrix: what is done to a fleet that has a backlog.

Each is a context manager: entering does the damage; where the damage lasts, leaving undoes it, and
in between the fleet has to deliver everything all the same. The link is open when a row begins.
"""

import contextlib
import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import paho.mqtt.client as paho
from facefleet.protocol import receipts_topic

from benchmarks.feeder import CAMERA, DEVICE
from benchmarks.fleet import Facefleet, Fleet
from support.rig import Process

KILLS = 3
LOSS = 0.2
SLOW = 1.0  # seconds a PUT

Fault = Callable[[Fleet], AbstractContextManager[None]]


@dataclass(frozen=True)
class Row:
    """A fault, and what the fleet must be like for it."""

    fault: Fault
    plain: bool = True  # publish-and-hope has what is broken here, and ends within the hour
    embedded: bool = False  # also run with the embedded broker
    replicas: int = 1  # processors
    clock_back: bool = False  # capture times jump an hour back half way
    small_disk: bool = False  # the outbox has a small file system of its own, where one can mount
    restored: bool = False  # the outbox does not know all that it has captured
    spread: bool = False  # faces come for as long as everything at random goes on


@contextmanager
def clean(_fleet: Fleet) -> Iterator[None]:
    yield


def killed(pick: Callable[[Fleet], Process]) -> Fault:
    """kill -9, and started again as a supervisor would, a few times with progress in between."""

    @contextmanager
    def fault(fleet: Fleet) -> Iterator[None]:
        fleet.s3.fault(delay=fleet.far)
        for _ in range(KILLS):
            fleet.until_progress()
            _kill(pick(fleet))
        yield

    return fault


@contextmanager
def wan_down(fleet: Fleet) -> Iterator[None]:
    _hole(fleet, fleet.load.outage)
    yield


@contextmanager
def brokers_wiped(fleet: Fleet) -> Iterator[None]:
    fleet.s3.fault(delay=fleet.far)
    fleet.until_progress()
    _wipe(fleet)
    yield


@contextmanager
def s3_failing(fleet: Fleet) -> Iterator[None]:
    _fail(fleet, fleet.load.outage)
    yield


@contextmanager
def s3_slow(fleet: Fleet) -> Iterator[None]:
    fleet.s3.fault(delay=SLOW)
    yield
    fleet.s3.fault(delay=0)


@contextmanager
def lossy(fleet: Fleet) -> Iterator[None]:
    fleet.link.loss = LOSS
    yield
    fleet.link.loss = 0


@contextmanager
def replica_frozen(fleet: Fleet) -> Iterator[None]:
    """The frozen one holds faces in its socket; thawed, it brings them again, too late."""
    fleet.processors[0].signal(signal.SIGSTOP)
    yield
    fleet.processors[0].signal(signal.SIGCONT)


@contextmanager
def outbox_restored(fleet: Facefleet) -> Iterator[None]:
    """An older copy of the file comes back; its next seqs are old ones, for other faces.

    What was captured since the copy has reached the bucket before, so nothing may be missing. The
    receipts of the first life come again while the new faces still wait: they may settle none.
    What is on its way of these is lost with the connection: only the outbox can bring them.
    """
    with _receipts(fleet) as (client, heard):
        fleet.link.hole()
        fleet.until_backlog()
        copy = fleet.outbox.with_suffix(".copy")
        with (
            contextlib.closing(sqlite3.connect(fleet.outbox)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        fleet.link.open()
        fleet.until(lambda: fleet.captured() >= fleet.load.captured // 2, "half is captured")
        fleet.detector.signal(signal.SIGUSR1)
        fleet.until(fleet.drained, "the first life's faces are stored")
        fleet.detector.stop()

        for suffix in ("-wal", "-shm"):
            fleet.outbox.with_name(fleet.outbox.name + suffix).unlink(missing_ok=True)
        copy.replace(fleet.outbox)
        fleet.link.hole()
        before = fleet.captured()
        late = list(heard)
        fleet.detector.start()
        fleet.until(lambda: fleet.captured() >= before + fleet.load.backlog, "new faces wait")
        for payload in late:
            client.publish(receipts_topic(DEVICE, CAMERA), payload, qos=1).wait_for_publish(10)
        fleet.link.cut()
        fleet.link.open()
    yield


@contextmanager
def disk_full(fleet: Facefleet) -> Iterator[None]:
    """Fill the disk while the link is down: faces are evicted, or no new face is taken.

    Either is allowed, and reported. What was taken must be stored or be in the evicted ranges.
    """
    fleet.link.hole()
    fleet.until_backlog()
    with _full(fleet):
        fleet.until(fleet.tells_of_full_disk, "the disk is full")
        time.sleep(fleet.load.outage)
    fleet.link.open()
    yield


@contextmanager
def anything(fleet: Fleet) -> Iterator[None]:
    """Everything above that has no row-wide set-up, one after another, as the seed has it."""
    dice = random.Random(fleet.load.seed)
    end = time.monotonic() + fleet.load.random_for
    while time.monotonic() < end:
        dice.choice(DISTURBANCES)(fleet, dice.uniform(0.5, 5))
        time.sleep(dice.uniform(0, 2))
    yield


def _kill(process: Process) -> None:
    process.kill()
    process.start()


def _wipe(fleet: Fleet) -> None:
    for broker in (fleet.edge_broker, fleet.cloud_broker):
        broker.kill()
    for broker in (fleet.edge_broker, fleet.cloud_broker):
        broker.start()


def _hole(fleet: Fleet, seconds: float) -> None:
    fleet.link.hole()
    time.sleep(seconds)
    fleet.link.open()


def _fail(fleet: Fleet, seconds: float) -> None:
    fleet.s3.fault(status=503)
    time.sleep(seconds)
    fleet.s3.fault(status=0)


def _lose(fleet: Fleet, seconds: float) -> None:
    fleet.link.loss = LOSS
    time.sleep(seconds)
    fleet.link.loss = 0


def _freeze(fleet: Fleet, seconds: float) -> None:
    fleet.processors[0].signal(signal.SIGSTOP)
    time.sleep(seconds)
    fleet.processors[0].signal(signal.SIGCONT)


DISTURBANCES: list[Callable[[Fleet, float], None]] = [
    lambda fleet, _: _kill(fleet.detector),
    lambda fleet, _: _kill(fleet.forwarder),
    lambda fleet, _: _kill(fleet.processors[0]),
    lambda fleet, _: _kill(fleet.edge_broker),
    lambda fleet, _: _kill(fleet.cloud_broker),
    lambda fleet, _: _wipe(fleet),
    lambda fleet, _: fleet.link.cut(),
    _hole,
    _fail,
    _lose,
    _freeze,
]


@contextmanager
def _receipts(fleet: Facefleet) -> Iterator[tuple[paho.Client, list[bytes]]]:
    """A client on the edge's broker, and the receipts that it hears."""
    heard: list[bytes] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
    client.on_message = lambda _client, _userdata, message: heard.append(message.payload)
    client.on_connect = lambda *_: client.subscribe(receipts_topic(DEVICE, CAMERA), 1)
    client.connect("127.0.0.1", fleet.edge)
    client.loop_start()
    try:
        yield client, heard
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def _full(fleet: Facefleet) -> Iterator[None]:
    """Fill the outbox's own file system; without one, limit what the feeder may write to a file."""
    folder = fleet.outbox.parent
    if folder.is_mount():
        ballast = folder / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(os.statvfs(folder).f_frsize))
        yield
        ballast.unlink()
    else:
        size = fleet.outbox.stat().st_size
        resource.prlimit(fleet.detector.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        yield
        free = resource.RLIM_INFINITY
        resource.prlimit(fleet.detector.pid, resource.RLIMIT_FSIZE, (free, free))


ROWS: dict[str, Row] = {
    "clean": Row(clean, embedded=True),
    "detector-killed": Row(killed(lambda fleet: fleet.detector), embedded=True),
    "forwarder-killed": Row(killed(lambda fleet: fleet.forwarder), embedded=True),
    "processor-killed": Row(killed(lambda fleet: fleet.processors[0]), embedded=True),
    "edge-broker-killed": Row(killed(lambda fleet: fleet.edge_broker), embedded=True),
    "cloud-broker-killed": Row(killed(lambda fleet: fleet.cloud_broker), embedded=True),
    "wan-down": Row(wan_down),
    "brokers-wiped": Row(brokers_wiped, embedded=True),
    "s3-503": Row(s3_failing),
    "s3-slow": Row(s3_slow, plain=False),
    "messages-lost": Row(lossy),
    "replica-frozen": Row(replica_frozen, replicas=2, plain=False),
    "outbox-restored": Row(outbox_restored, plain=False, restored=True),
    "clock-back": Row(clean, clock_back=True, plain=False),
    "disk-full": Row(disk_full, small_disk=True, plain=False),
    "random": Row(anything, spread=True),
}
