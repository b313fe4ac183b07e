"""Attacks on the services as they run: they are borne in little memory, and good faces arrive."""

import hashlib
import io
import os
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from facefleet.protocol import FaceName, content_tag
from facefleet.services.processor import HELD_BYTES
from PIL import Image

from support import picture
from support.listener import Listener
from support.rig import BUCKET, Process, Rig, await_true, free_port, keys, s3, unmet

MIB = 1 << 20
SLACK = 24 * MIB  # what a process may grow by in any case: buffers, libraries that come late


def name(camera: str, seq: int, payload: bytes) -> FaceName:
    at = datetime(2026, 2, 28, 23, 59, 59, seq, UTC)
    return FaceName("edge-1", camera, at, "0123abcd", seq, content_tag(payload))


def attack(port: int, topic: bytes, payload: bytes, qos: int = 0) -> None:
    """Publish as no client would: nothing is checked here, and the answer is not waited for."""
    body = struct.pack(">H", len(topic)) + topic + (b"\0\7" if qos else b"") + payload
    length, digits = len(body), bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    hello = b"\x10\x10\0\4MQTT\4\2\0\x3c\0\4" + os.urandom(2).hex().encode()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(hello)
        assert connection.recv(4) == b"\x20\2\0\0"
        connection.sendall(bytes((0x30 | qos << 1, *digits, length)) + body)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):  # until the broker has read all, or has had enough
            pass


def bomb(kind: str) -> bytes:
    out = io.BytesIO()
    image = Image.new("L", (3000, 3000))
    if kind == "exif":
        tags = b"".join(struct.pack(">HHLL", tag, 7, 60_000, 8) for tag in range(5000))
        exif = b"Exif\0\0MM\0*\0\0\0\x08\x13\x88" + tags + bytes(4)
        Image.new("L", (8, 8)).save(out, "JPEG", exif=exif)
    elif kind == "size":
        image.resize((16, 16)).save(out, "JPEG")
        jpeg = bytearray(out.getvalue())
        at = jpeg.index(b"\xff\xc0") + 5
        jpeg[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
        return bytes(jpeg)
    elif kind == "png":
        image.save(out, "PNG")
        return out.getvalue() + b"\xff\xd9"
    return out.getvalue()


def arrives(port: int, camera: str) -> None:
    """A good face that is sent now is stored and confirmed."""
    face = picture.jpeg(camera.encode())
    with Listener(port, f"receipts/edge-1/{camera}") as listener:
        listener.say(name(camera, 1, face).topic, face)
        await_true(lambda: listener.stored("edge-1", camera) == [1], "a good face arrives")


def sane(process: Process) -> bool:
    return process.running() and "Traceback" not in process.log.read_text()


class Cloud:
    """Mosquitto, S3 and a processor."""

    def __init__(self, rig: Rig) -> None:
        _, self.port = rig.mosquitto("cloud")
        _, self.endpoint = rig.moto()
        self.processor, self.url = rig.service(
            "processor",
            broker=f"mqtt://127.0.0.1:{self.port}",
            bucket=BUCKET,
            qos=1,
            AWS_ENDPOINT_URL=self.endpoint,
        )


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Rig(tmp_path_factory.mktemp("attacks")) as rig:
        yield Cloud(rig)


TRICKS = [
    "faces/../edge-1/front/2026/02/28/235959.000001-0123abcd-7-89abcdef.jpg",
    "faces/edge-1/../../quarantine/ready",
    "faces//front/2026/02/28/235959.000001-0123abcd-7-89abcdef.jpg",
    "faces/edge-1/front/",
    "faces/edge-1/front/%2e%2e/x.jpg",
    "faces/\u00e9dge-1/front/\u202egpj.jpg",
    "faces/edge-1/front/" + "a/" * 150,
    "faces/" + "\U0001f600" * 16_000,
]
REFUSED_BY_THE_BROKER = [
    b"faces/+/front",
    b"faces/edge-1/#",
    b"faces/edge-1/\0/front",
    b"faces/edge-1/\xff\xfe",
    b"faces/edge-1/\xed\xa0\x80",
    b"faces/edge-1/" + b"a/" * 5000,
]


def test_tricks_in_topics_end_in_quarantine(cloud: Cloud) -> None:
    for topic in TRICKS:
        attack(cloud.port, topic.encode(), b"trick")
    for topic in REFUSED_BY_THE_BROKER:
        attack(cloud.port, topic, b"trick")
    arrives(cloud.port, "tricks")
    digests = [hashlib.sha256(f"{topic}\0trick".encode()).hexdigest() for topic in TRICKS]
    expected = {f"quarantine/unknown/{digest[:32]}" for digest in digests}
    await_true(
        lambda: set(keys(cloud.endpoint, "quarantine/unknown/")) == expected,
        "each trick is in quarantine, and what the broker refused is nowhere",
    )
    assert {key.split("/")[2] for key in keys(cloud.endpoint)} == {"tricks"}
    assert sane(cloud.processor)


@pytest.mark.parametrize("kind", ["size", "png"])
def test_a_picture_that_is_a_bomb_ends_in_quarantine(cloud: Cloud, kind: str) -> None:
    payload = bomb(kind)
    before = cloud.processor.peak()
    with Listener(cloud.port, f"receipts/edge-1/{kind}") as listener:
        listener.say(name(kind, 1, payload).topic, payload)
        await_true(lambda: listener.receipts("edge-1", kind), "a receipt comes")
        (receipt,) = listener.receipts("edge-1", kind)
    ((_, _, reason),) = receipt.quarantined
    assert (
        reason
        == {
            "size": "65500 x 65500 pixels are more than the 33177600 allowed",
            "png": "the payload is not a complete JPEG",
        }[kind]
    )
    assert keys(cloud.endpoint, f"faces/edge-1/{kind}/") == []
    arrives(cloud.port, f"after-{kind}")
    assert cloud.processor.peak() - before < SLACK
    assert sane(cloud.processor)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_of_many_megabytes_is_let_pass(cloud: Cloud, qos: int) -> None:
    before, dropped = cloud.processor.peak(), giants(cloud)
    attack(cloud.port, b"faces/edge-1/giant", bytes(100 * MIB), qos)
    arrives(cloud.port, f"after-{qos}")
    assert cloud.processor.peak() - before < SLACK
    assert sane(cloud.processor)
    # At 2 it has not been sent: the attacker did not go through with the handshake.
    assert giants(cloud) - dropped == int(qos < 2)


def giants(cloud: Cloud) -> int:
    return cloud.processor.log.read_text().count("message dropped: too large")


def test_long_topics_are_held_within_the_bound(rig: Rig) -> None:
    _, port = rig.mosquitto("cloud")
    process, url = rig.service(
        "processor",
        wait=False,
        broker=f"mqtt://127.0.0.1:{port}",
        bucket=BUCKET,
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}",
    )
    await_true(lambda: '"broker"' not in unmet(url) and "S3 cannot" in unmet(url), "it listens")
    before = process.peak()
    with Listener(port, "none") as listener:
        for n in range(2500):
            listener.say(f"faces/{n}/" + "x" * 64_000, b"", qos=int(n % 500 == 499))

    def dropped() -> bool:
        with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
            return "facefleet_messages_dropped_total 0.0" not in answer.read().decode()

    await_true(dropped, "some are dropped")
    assert process.peak() - before < HELD_BYTES + SLACK
    assert sane(process)


def test_what_another_broker_would_not_take_does_not_cut_a_device_off(rig: Rig) -> None:
    _, edge = rig.amqtt("edge")
    _, cloud = rig.mosquitto("cloud")
    process, _ = rig.service(
        "forwarder",
        device="edge-1",
        edge_broker=f"mqtt://127.0.0.1:{edge}",
        cloud_broker=f"mqtt://127.0.0.1:{cloud}",
    )
    with Listener(cloud, "faces/#") as above, Listener(edge, "none") as below:
        for trick in ("\0", "\x07", "\x9b2J", "\ufffe", "\U0010ffff", "..", "\u202e"):
            attack(edge, f"faces/edge-1/{trick}".encode(), b"trick")
        below.say("faces/edge-1/good", b"face")
        await_true(lambda: above.on("faces/edge-1/good"), "a good face passes")
        passed = {topic for topic, *_ in above.heard} - {"faces/edge-1/good"}
    assert passed <= {"faces/edge-1/..", "faces/edge-1/\u202e"}
    assert "ended" not in process.log.read_text()
    assert sane(process)


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_gallery_bears_what_is_in_the_bucket(cloud: Cloud, rig: Rig) -> None:
    bucket = s3(cloud.endpoint)
    process, url = rig.service("gallery", bucket=BUCKET, AWS_ENDPOINT_URL=cloud.endpoint)
    arrives(cloud.port, "looked-at")
    (good,) = keys(cloud.endpoint, "faces/edge-1/looked-at/")
    assert get(f"{url}/face/{good}")[0] == 200
    before = process.peak()

    def put(camera: str, content: bytes) -> str:
        key = str(name(camera, 1, content))
        bucket.put_object(Bucket=BUCKET, Key=key, Body=content)
        return key

    for kind in ("exif", "size", "png"):
        status, page = get(f"{url}/face/{put(f'bomb-{kind}', bomb(kind))}")
        assert (status, b"has no EXIF" in page) == (200, True), kind
    giant = put("giant", bytes(100 * MIB))
    for way in ("face", "image"):
        status, page = get(f"{url}/{way}/{giant}")
        assert (status, b"is too large for a face: 104857600 bytes" in page) == (503, True)
    for trick in ("faces/../x/y/1", "faces/<b>/front/1", "faces/a/b/2026/99/99/1", "faces/a//c"):
        bucket.put_object(Bucket=BUCKET, Key=trick, Body=b"trick")
        assert get(f"{url}/face/{quote(trick)}")[0] == 404
        assert get(f"{url}/?before={quote(trick)}")[0] == 404
    for query in (
        "",
        "?device=%00",
        "?device=..&camera=%0d%0aX",
        "?before=",
        "?device=" + "a" * 9000,
    ):
        assert get(f"{url}/{query}")[0] in (200, 404)
    status, page = get(f"{url}/")
    assert (status, good.encode() in page) == (200, True)
    assert process.peak() - before < SLACK
    assert sane(process)
