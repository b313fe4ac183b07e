"""How fast faces travel and what that costs: plain, Mosquitto's bridge and ours, side by side.

Each run starts every process anew: two Mosquitto brokers without persistence, and support.sink, the
same for all. CPU is each process's own, from the first face to the last.
Ours and the bridge are fed through the real outbox and sender, faster than they drain: a face is
handed over whenever fewer than twice the window are unconfirmed, and the end is the last receipt.
The plain shape is fed as fast as its client publishes, and the end is the last PUT.
"""

import json
import multiprocessing
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health
from facefleet.logging import configure_logging
from facefleet.protocol import FaceName, content_tag
from facefleet.runtime import freeze_gc
from pydantic import AnyUrl

from benchmarks.plain import connect, start
from support.picture import jpeg
from support.rig import BUCKET, Process, Rig, await_true, cpu

DEVICE, CAMERA = "edge-1", "front"
WINDOW = 256
INSTANT, SLOW = 0.0, 0.030  # seconds of a PUT
STAGES = ("detector", "edge broker", "forwarder", "cloud broker", "processor")
_BODY = jpeg(bytes(6000) + b"%d")
_SPAWN = multiprocessing.get_context("spawn")

Feeder = Callable[[Connection, int, int, int, str], None]


# -- the feeders: each in a process of its own, told when to start and when to leave ---------------


def feed_outbox(pipe: Connection, port: int, qos: int, count: int, folder: str) -> None:
    """The detector's side without a camera: outbox and sender, kept full."""
    configure_logging("detector", "error")
    outbox = Outbox(Path(folder, "outbox.sqlite"), DEVICE, CAMERA, 1 << 30)
    health = Health("broker")
    sender = Sender(outbox, AnyUrl(f"mqtt://127.0.0.1:{port}"), qos, WINDOW, health)
    sender.start()
    await_true(lambda: not health.unmet, "the sender is connected")
    freeze_gc()
    pipe.send("ready")
    pipe.recv()
    never = threading.Event()
    for n in range(count):
        while n - outbox.counts.stored >= 2 * WINDOW:
            sender.check()
            time.sleep(0.002)
        sender.put(datetime.now(UTC), _BODY % n, never)
    await_true(lambda: outbox.counts.stored == count, "every face is confirmed", 60)
    pipe.send("done")
    pipe.recv()
    sender.stop()


def feed_plain(pipe: Connection, port: int, qos: int, count: int, _folder: str) -> None:
    """The plain detector: publish, and hope."""
    client = connect("plain-detector", port, qos)
    client.loop_start()
    await_true(client.is_connected, "the plain detector is connected")
    pipe.send("ready")
    pipe.recv()
    for n in range(count):
        face = _BODY % n
        name = FaceName(DEVICE, CAMERA, datetime.now(UTC), "0" * 8, n + 1, content_tag(face))
        client.publish(name.topic, face, qos)
    pipe.send("done")
    pipe.recv()
    client.disconnect()


# -- the shapes: what stands between the feeder and the sink --------------------------------------


def _plain(rig: Rig, endpoint: str, qos: int) -> tuple[int, dict[str, Process]]:
    edge, edge_port = rig.mosquitto("edge")
    cloud, cloud_port = rig.mosquitto("cloud")
    processor = start(rig, "processor", cloud_port, BUCKET, qos, AWS_ENDPOINT_URL=endpoint)
    relay = start(rig, "relay", edge_port, cloud_port, qos)
    return edge_port, {
        "edge broker": edge,
        "forwarder": relay,
        "cloud broker": cloud,
        "processor": processor,
    }


def _bridge(rig: Rig, endpoint: str, qos: int) -> tuple[int, dict[str, Process]]:
    cloud, cloud_port = rig.mosquitto("cloud")
    processor = _processor(rig, endpoint, cloud_port, qos)
    edge, edge_port = rig.mosquitto(
        "edge",
        more=f"connection cloud\naddress 127.0.0.1:{cloud_port}\n"
        f"topic faces/# out {qos}\ntopic receipts/# in {qos}\n",
    )
    await_true(lambda: "bridge connected" in cloud.log.read_text(), "the bridge is connected")
    return edge_port, {"edge broker": edge, "cloud broker": cloud, "processor": processor}


def _ours(rig: Rig, endpoint: str, qos: int) -> tuple[int, dict[str, Process]]:
    edge, edge_port = rig.mosquitto("edge")
    cloud, cloud_port = rig.mosquitto("cloud")
    processor = _processor(rig, endpoint, cloud_port, qos)
    forwarder, _ = rig.service(
        "forwarder",
        device=DEVICE,
        qos=qos,
        edge_broker=f"mqtt://127.0.0.1:{edge_port}",
        cloud_broker=f"mqtt://127.0.0.1:{cloud_port}",
    )
    return edge_port, {
        "edge broker": edge,
        "forwarder": forwarder,
        "cloud broker": cloud,
        "processor": processor,
    }


def _processor(rig: Rig, endpoint: str, port: int, qos: int) -> Process:
    broker = f"mqtt://127.0.0.1:{port}"
    settings = {"broker": broker, "bucket": BUCKET, "qos": qos, "AWS_ENDPOINT_URL": endpoint}
    return rig.service("processor", **settings)[0]


@dataclass(frozen=True)
class Shape:
    """A way to carry faces. Its processes by stage, and the port of the edge's broker."""

    name: str
    qos: int
    start: Callable[[Rig, str, int], tuple[int, dict[str, Process]]]
    feed: Feeder
    fewer: dict[float, int] = field(default_factory=dict)
    """By seconds of a PUT: what part of the faces will do where the shape is slow."""


PLAIN, BRIDGE = "plain", "bridge, QoS 1"
SHAPES = (
    Shape(PLAIN, 0, _plain, feed_plain, {INSTANT: 7, SLOW: 100}),
    Shape(BRIDGE, 1, _bridge, feed_outbox),
    Shape("ours, QoS 0", 0, _ours, feed_outbox),
    Shape("ours, QoS 1", 1, _ours, feed_outbox),
)


# -- one run ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One shape, carried once."""

    shape: str
    faces: int
    seconds: float
    cpu: dict[str, float]  # seconds per 1,000 faces, by stage
    sink: float  # the same of what stands for S3, which is no shape's own cost

    @property
    def rate(self) -> float:
        """Faces a second."""
        return self.faces / self.seconds

    @property
    def total(self) -> float:
        """CPU seconds per 1,000 faces, all stages together."""
        return sum(self.cpu.values())


def carry(shape: Shape, faces: int, put_seconds: float) -> Run:
    """Carry `faces` once, each PUT taking `put_seconds`. Raises TimeoutError."""
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        sink, endpoint = rig.sink(put_seconds)
        port, stages = shape.start(rig, endpoint, shape.qos)
        with _feeder(shape, port, faces, folder) as (pid, pipe):
            pids = {"detector": pid, "sink": sink.pid}
            pids |= {stage: process.pid for stage, process in stages.items()}
            before = {stage: cpu(pid) for stage, pid in pids.items()}
            probes = _objects(endpoint)  # the processor's, to see whether it can write
            began = time.monotonic()
            pipe.send("go")
            pipe.recv()
            await_true(lambda: _objects(endpoint) >= faces + probes, "every face is stored", 600)
            seconds = time.monotonic() - began
            used = {stage: 1000 * (cpu(pid) - before[stage]) / faces for stage, pid in pids.items()}
            pipe.send("leave")
    return Run(shape.name, faces, seconds, used, used.pop("sink"))


@contextmanager
def _feeder(shape: Shape, port: int, faces: int, folder: str) -> Iterator[tuple[int, Connection]]:
    """The feeder's process, connected and waiting for a word."""
    pipe, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=shape.feed, args=(theirs, port, shape.qos, faces, folder))
    process.start()
    theirs.close()  # so that its end is seen
    try:
        pipe.recv()
        yield process.pid, pipe
        process.join(10)
    finally:
        if process.is_alive():
            process.kill()
        process.join()


def _objects(endpoint: str) -> int:
    with urllib.request.urlopen(endpoint, timeout=10) as answer:
        return json.load(answer)["objects"]


def measure(faces: int, put_seconds: float, repetitions: int) -> list[list[Run]]:
    """Every shape in turn, and again: the runs of each repetition, in the order of SHAPES."""
    found = []
    for repetition in range(1, repetitions + 1):
        found.append([])
        for shape in SHAPES:
            run = carry(shape, faces // shape.fewer.get(put_seconds, 1), put_seconds)
            print(
                f"{repetition}/{repetitions} {shape.name}, {1000 * put_seconds:.0f} ms a PUT: "
                f"{run.rate:.0f} faces/s, {run.total:.3f} CPU s per 1,000",
                file=sys.stderr,
            )
            found[-1].append(run)
    return found
