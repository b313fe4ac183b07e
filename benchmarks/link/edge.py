"""The edge of a link: what hands over faces, and how each way to send them is set up there.

Each way runs in a process in the network namespace of the link's edge.
"""

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import COMMIT_BATCH, Sender
from facefleet.health import Health
from facefleet.logging import configure_logging
from facefleet.protocol import FaceName, content_tag
from facefleet.runtime import freeze_gc
from pydantic import AnyUrl

from benchmarks.feeder import CAMERA, DEVICE
from benchmarks.link.cloud import START
from benchmarks.link.faces import numbered
from benchmarks.link.network import enter_network
from benchmarks.link.results import Captured
from benchmarks.plain import connect
from support.rig import Rig, await_true, ready

WINDOW = 256
A_DAY = timedelta(days=1)  # over which the backlog was captured


@dataclass(frozen=True)
class Site:
    """What an edge is given."""

    namespace: int  # a process in it
    folder: Path
    host: str  # the cloud's broker
    port: int
    tls: Path
    crops: list[bytes]
    backlog: int  # faces that wait at the start
    fresh_every: float  # seconds between further faces, on average


class Sending(Protocol):
    """A way to send faces."""

    def start(self) -> None:
        """Begin to send the backlog."""

    def put(self, face: bytes) -> None:
        """Hand over a fresh face."""

    def check(self) -> None:
        """Raise the error that ended it, if any."""


def run(pipe: Connection, way: str, site: Site) -> None:
    """Send faces, as told: each message on the pipe is answered, and ends a stage."""
    enter_network(site.namespace)
    configure_logging("detector", "error")
    with Rig(site.folder) as rig, WAYS[way](rig, site) as sending:
        freeze_gc()
        pipe.send("ready")
        pipe.recv()
        captured = list(_feed(pipe, sending, site))
        pipe.send(captured)
        while not pipe.poll(0.5):
            sending.check()
        pipe.recv()


def _feed(pipe: Connection, sending: Sending, site: Site) -> Iterator[Captured]:
    """Hand over the backlog and then fresh faces, until there is a message on the pipe."""
    due = time.monotonic()
    for number in range(site.backlog):
        yield _captured(numbered(site.crops, number), due, fresh=False)
    sending.start()
    dice = random.Random(site.fresh_every)
    number = site.backlog
    while True:
        due += site.fresh_every * dice.uniform(0.5, 1.5)
        if pipe.poll(max(0, due - time.monotonic())):
            pipe.recv()
            return
        face = numbered(site.crops, number)
        yield _captured(face, time.monotonic(), fresh=True)
        sending.put(face)
        number += 1


def _captured(face: bytes, at: float, *, fresh: bool) -> Captured:
    return Captured(at, len(face), hashlib.md5(face, usedforsecurity=False).hexdigest(), fresh)


# -- facefleet's outbox, with either facefleet's forwarder or Mosquitto's bridge ------------------


class _FromOutbox:
    """The detector's side without a camera: outbox and sender."""

    def __init__(self, site: Site, broker_port: int) -> None:
        outbox = Outbox(site.folder / "outbox.sqlite", DEVICE, CAMERA, 1 << 30)
        began = datetime.now(UTC) - A_DAY
        for first in range(0, site.backlog, COMMIT_BATCH):
            outbox.add(
                (began + A_DAY * n / site.backlog, numbered(site.crops, n))
                for n in range(first, min(first + COMMIT_BATCH, site.backlog))
            )
        broker = AnyUrl(f"mqtt://127.0.0.1:{broker_port}")
        self._sender = Sender(outbox, broker, 0, WINDOW, Health("broker"))
        self._never = threading.Event()

    def start(self) -> None:
        self._sender.start()

    def put(self, face: bytes) -> None:
        self._sender.put(datetime.now(UTC), face, self._never)

    def check(self) -> None:
        self._sender.check()

    def stop(self) -> None:
        self._sender.stop()


@contextmanager
def _facefleet(rig: Rig, site: Site) -> Iterator[Sending]:
    _, port = rig.mosquitto("edge")
    _, url = rig.service(
        "forwarder",
        wait=False,
        device=DEVICE,
        edge_broker=f"mqtt://127.0.0.1:{port}",
        cloud_broker=f"mqtts://{site.host}:{site.port}",
        tls=site.tls,
    )
    await_true(lambda: ready(url), "the forwarder is ready", START)
    yield from _outbox(site, port)


@contextmanager
def _bridge(rig: Rig, site: Site) -> Iterator[Sending]:
    _, port = rig.mosquitto(
        "edge",
        more=f"""\
connection cloud
address {site.host}:{site.port}
bridge_cafile {site.tls}/ca.crt
bridge_certfile {site.tls}/tls.crt
bridge_keyfile {site.tls}/tls.key
notifications false
topic faces/{DEVICE}/# out 1
topic status/{DEVICE}/# out 1
topic receipts/{DEVICE}/# in 1
topic receipts/hello in 1
""",
    )
    yield from _outbox(site, port)


def _outbox(site: Site, port: int) -> Iterator[Sending]:
    sending = _FromOutbox(site, port)
    try:
        yield sending
    finally:
        sending.stop()


# -- plain ------------------------------------------------------------------------------------


class _Plain:
    """A client that publishes over the link, and keeps what waits in its memory."""

    def __init__(self, site: Site, qos: int) -> None:
        self._site, self._qos = site, qos
        self._number = 0
        self.client = connect(DEVICE, site.port, qos, host=site.host, tls=site.tls, keep_alive=60)
        self.client.loop_start()

    def start(self) -> None:
        for number in range(self._site.backlog):
            self.put(numbered(self._site.crops, number))

    def put(self, face: bytes) -> None:
        self._number += 1
        tag = content_tag(face)
        name = FaceName(DEVICE, CAMERA, datetime.now(UTC), "0" * 8, self._number, tag)
        self.client.publish(name.topic, face, self._qos)

    def check(self) -> None:
        """Do nothing: the client reconnects by itself."""


def _plain(qos: int) -> Callable[[Rig, Site], object]:
    @contextmanager
    def start(_rig: Rig, site: Site) -> Iterator[Sending]:
        sending = _Plain(site, qos)
        await_true(sending.client.is_connected, "the plain client is connected", START)
        yield sending
        sending.client.disconnect()
        sending.client.loop_stop()

    return start


WAYS = {
    "facefleet": _facefleet,
    "bridge, QoS 1": _bridge,
    "plain, QoS 0": _plain(0),
    "plain, QoS 1": _plain(1),
}
QOS = {"plain, QoS 1": 1}  # at which the processor receives; 0 for the others
