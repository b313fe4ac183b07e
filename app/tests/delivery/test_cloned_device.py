"""Two devices with one name, one certificate and copies of one outbox: a cloned SD card.

Real Mosquitto with TLS as the role configures it, a real S3 server, forwarders and a processor.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery import sender
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health
from pydantic import AnyUrl
from structlog.testing import capture_logs

from support.authority import Authority
from support.cloud import OPERATOR, PROCESSOR, Cloud, certificate
from support.rig import AWS, BIN, BUCKET, Rig, await_true, keys, s3

BOTH = 8  # faces that the outbox holds when it is copied, half of them confirmed
OWN = 40  # further faces of each device


def jpeg(text: str) -> bytes:
    """A picture of one pixel, with a text in a comment."""
    comment = text.encode()
    return (
        bytes.fromhex("ffd8fffe")
        + (len(comment) + 2).to_bytes(2, "big")
        + comment
        + bytes.fromhex("ffc0000b080001000101011100ffda0008010100003f0000ffd9")
    )


class Device:
    """One of the two: its broker, its forwarder, and its sender."""

    def __init__(self, rig: Rig, name: str, outbox: Path, cloud: Cloud, tls: Path) -> None:
        folder = rig.folder / name
        folder.mkdir()
        self.name, self.path = name, folder / "outbox.sqlite"
        shutil.copy(outbox, self.path)
        shutil.copytree(tls, folder / "tls")
        _, port = rig.mosquitto(f"broker-{name}")
        rig.service(
            "forwarder",
            instance=f"-{name}",
            wait=False,
            device="edge-1",
            edge_broker=f"mqtt://127.0.0.1:{port}",
            cloud_broker=cloud.url,
            tls=folder / "tls",
        )
        self.outbox = Outbox(self.path, "edge-1", "front", 1 << 20)
        self.sender = Sender(self.outbox, AnyUrl(f"mqtt://127.0.0.1:{port}"), 1, 64, Health())
        self.sender.start()

    def capture(self, number: int) -> None:
        self.sender.put(datetime.now(UTC), jpeg(f"{self.name} {number}"), None)

    @property
    def has_delivered(self) -> bool:
        counts = self.outbox.counts
        return counts.captured == counts.stored == BOTH + OWN

    @property
    def is_told(self) -> bool:
        return self.sender._is_cloned


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "CHECK_EVERY", 0.1)
    monkeypatch.setattr(sender, "LAST_RECEIPTS", 0)


@pytest.fixture
def endpoint(rig: Rig) -> str:
    return rig.moto()[1]


@pytest.fixture
def cloud(rig: Rig, endpoint: str) -> Cloud:
    authority = Authority("ours")
    cloud = Cloud(rig, authority)
    for name in (PROCESSOR, OPERATOR, "edge-1"):
        certificate(rig.folder / name, authority, name)
    rig.service(
        "processor",
        broker=cloud.url,
        tls=rig.folder / PROCESSOR,
        bucket=BUCKET,
        AWS_ENDPOINT_URL=endpoint,
    )
    return cloud


@pytest.fixture
def twins(rig: Rig, cloud: Cloud, endpoint: str, quick: None) -> Iterator[list[Device]]:
    original = Outbox(rig.folder / "original.sqlite", "edge-1", "front", 1 << 20)
    names, _ = original.add([(datetime.now(UTC), jpeg(f"both {n}")) for n in range(BOTH)])
    for number, name in enumerate(names[: BOTH // 2]):
        s3(endpoint).put_object(Bucket=BUCKET, Key=str(name), Body=jpeg(f"both {number}"))
    original.record_outcomes([(name.seq, name.tag) for name in names[: BOTH // 2]])
    original.close()
    tls = rig.folder / "edge-1"
    twins = [Device(rig, name, original.path, cloud, tls) for name in ("first", "second")]
    yield twins
    for twin in twins:
        twin.sender.stop()


def audit(endpoint: str, *paths: Path) -> tuple[int, list[dict]]:
    environment = {**os.environ, **AWS, "AWS_ENDPOINT_URL": endpoint, "FACEFLEET_BUCKET": BUCKET}
    result = subprocess.run(
        [BIN / "facefleet", "audit", "--json", *paths],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, json.loads(result.stdout)


def test_neither_of_two_copies_loses_a_face_and_the_copy_is_told(
    twins: list[Device], endpoint: str
) -> None:
    with capture_logs() as logs:
        for number in range(OWN):
            for twin in twins:
                twin.capture(number)
        await_true(lambda: all(twin.has_delivered for twin in twins), "both deliver", 300)
        await_true(lambda: any(twin.is_told for twin in twins), "one is told of the other", 300)
    assert len(keys(endpoint)) == BOTH + 2 * OWN
    assert {twin.outbox.counts.dead for twin in twins} == {0}
    assert twins[0].outbox.epoch != twins[1].outbox.epoch
    assert any("another device uses this name" in line["event"] for line in logs)
    code, accounts = audit(endpoint, *(twin.path for twin in twins))
    assert (code, [account["in_bucket"] for account in accounts]) == (0, [BOTH + OWN] * 2)
