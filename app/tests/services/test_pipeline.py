"""A face's whole way: sender, forwarder and processor as they run, with real brokers and S3."""

import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.delivery.sender import Sender
from facefleet.health import Health
from pydantic import AnyUrl

from support import picture
from support.rig import BUCKET, Rig, await_true, keys

JPEG = picture.jpeg(bytes(6000) + b"%d")


class Device:
    """A sender with an outbox, fed by hand."""

    def __init__(self, folder: Path, port: int, camera: str = "front") -> None:
        self.outbox = Outbox(folder / f"{camera}.sqlite", "edge-1", camera, 1 << 30)
        self.health = Health("broker", "outbox")
        self.sender = Sender(self.outbox, AnyUrl(f"mqtt://127.0.0.1:{port}"), 0, 256, self.health)
        self.sender.start()
        self.never = threading.Event()

    def capture(self, count: int) -> None:
        for n in range(count):
            self.sender.put(datetime.now(UTC), JPEG % n, self.never)

    @property
    def counts(self):
        return self.outbox.counts


def pipeline(rig: Rig, *, edge: str = "", cloud: str = "") -> tuple[int, str]:
    """Brokers with these lines of configuration, and what stands between them and S3.

    Returns the port of the edge's broker, and the endpoint.
    """
    _, edge_port = rig.mosquitto("edge", more=edge)
    _, cloud_port = rig.mosquitto("cloud", more=cloud)
    _, endpoint = rig.s3()
    url = f"mqtt://127.0.0.1:{cloud_port}"
    rig.service("processor", broker=url, bucket=BUCKET, AWS_ENDPOINT_URL=endpoint)
    rig.service(
        "forwarder",
        device="edge-1",
        edge_broker=f"mqtt://127.0.0.1:{edge_port}",
        cloud_broker=url,
    )
    return edge_port, endpoint


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_every_face_reaches_the_bucket_once(rig: Rig, broker: str) -> None:
    _, edge = getattr(rig, broker)("edge")
    _, cloud = getattr(rig, broker)("cloud")
    _, endpoint = rig.moto()
    rig.service(
        "processor", broker=f"mqtt://127.0.0.1:{cloud}", bucket=BUCKET, AWS_ENDPOINT_URL=endpoint
    )
    rig.service(
        "forwarder",
        device="edge-1",
        edge_broker=f"mqtt://127.0.0.1:{edge}",
        cloud_broker=f"mqtt://127.0.0.1:{cloud}",
    )
    device = Device(rig.folder, edge)
    device.capture(300)
    await_true(lambda: device.counts.stored == 300, "all faces confirmed")
    device.sender.stop()
    found = keys(endpoint)
    assert len(found) == 300
    assert all(key.startswith("faces/edge-1/front/") for key in found)
    assert device.counts.pending == 0


def test_a_face_that_was_damaged_in_the_outbox_becomes_a_dead_letter(rig: Rig) -> None:
    path = rig.folder / "front.sqlite"
    outbox = Outbox(path, "edge-1", "front", 1 << 30)
    outbox.add([(datetime.now(UTC), JPEG % n) for n in range(300)])
    outbox.close()
    damaged = bytearray(JPEG % 7)
    damaged[3000] ^= 1
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE pending SET jpeg = ? WHERE seq <= 260", (bytes(damaged),))
    port, endpoint = pipeline(rig)
    device = Device(rig.folder, port)
    await_true(lambda: device.counts.stored == 40, "the others are confirmed")
    await_true(lambda: device.counts.dead == 260, "these are dead letters")
    device.sender.stop()
    assert device.counts.pending == 0
    assert len(keys(endpoint)) == 40
    assert keys(endpoint, "quarantine/unknown") == []
    letters = OutboxReader(path).dead_letters()
    assert {letter.reason for letter in letters} == {"its image was damaged in the outbox"}


@pytest.mark.parametrize("where", ["edge", "cloud"])
def test_a_face_that_a_broker_ends_the_connection_for_does_not_keep_the_others(
    rig: Rig, where: str
) -> None:
    port, endpoint = pipeline(rig, **{where: "max_packet_size 131072\n"})
    device = Device(rig.folder, port)
    device.capture(10)
    device.sender.put(datetime.now(UTC), picture.jpeg(bytes(200_000)), device.never)
    device.capture(100)
    await_true(lambda: device.counts.stored == 110, "the others are confirmed", 100)
    device.capture(50)
    await_true(lambda: device.counts.stored == 160, "and those that come later")
    device.sender.stop()
    assert device.counts.pending == 1
    assert len(keys(endpoint)) == 160
