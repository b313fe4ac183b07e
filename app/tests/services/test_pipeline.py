"""A face's whole way: sender, forwarder and processor as they run, with real brokers and S3."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.telemetry import Health
from pydantic import AnyUrl

from lab import picture
from lab.rig import BUCKET, Rig, await_true, keys

JPEG = picture.jpeg(bytes(6000) + b"%d")


class Device:
    """A sender with an outbox, fed by hand."""

    def __init__(self, folder: Path, port: int, camera: str = "front") -> None:
        self.outbox = Outbox(folder / f"{camera}.sqlite", "edge-1", camera, 1 << 30)
        self.health = Health("broker", "outbox")
        self.sender = Sender(self.outbox, AnyUrl(f"mqtt://127.0.0.1:{port}"), 0, 256, self.health)
        self.sender.start()
        self._never = threading.Event()

    def capture(self, count: int) -> None:
        for n in range(count):
            self.sender.put(datetime.now(UTC), JPEG % n, self._never)

    @property
    def counts(self):
        return self.outbox.counts


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
    await_true(lambda: device.counts.stored == 300, "all faces confirmed", 60)
    device.sender.stop()
    found = keys(endpoint)
    assert len(found) == 300
    assert all(key.startswith("faces/edge-1/front/") for key in found)
    assert device.counts.pending == 0
