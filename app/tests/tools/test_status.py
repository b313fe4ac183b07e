"""The table as a person sees it."""

import json
import time

import pytest

from lab.listener import Listener
from lab.rig import BIN, Process, Rig, await_true
from lab.shell import facefleet, told

ROW = {
    "state": "online",
    "camera": "ok",
    "epoch": "0123abcd",
    "captured": 12345,
    "stored": 12340,
    "quarantined": 0,
    "pending": 5,
    "evicted": 0,
    "dead": 0,
    "dropped": 0,
    "resent": 0,
    "p50": 0.05,
    "p99": None,
}


@pytest.fixture
def broker(rig: Rig):
    _, port = rig.mosquitto("broker")
    with Listener(port, "none") as listener:
        yield f"mqtt://127.0.0.1:{port}", listener


def test_a_row_a_camera_that_lines_up(broker) -> None:
    address, listener = broker
    for camera, row in {
        "edge-1/front": ROW,
        "edge-2/a-longer-name": {**ROW, "captured": 7, "camera": "The camera was unplugged."},
        "edge-3/front": {"state": "offline"},
    }.items():
        listener.say(f"status/{camera}", json.dumps(row).encode(), retain=True)
    listener.say("status/edge-1", b"link up", retain=True)
    result = facefleet("status", "--expect", "edge-1/front", BROKER=address)
    assert result.returncode == 0, result.stderr
    head, *rows = result.stdout.splitlines()
    assert head.split()[:4] == ["camera", "captured", "stored", "pending"]
    assert [row.split()[0] for row in rows] == [
        "edge-1/front",
        "edge-2/a-longer-name",
        "edge-3/front",
    ]
    end = head.index("captured") + len("captured")
    numbers = [row[:end].split()[1] for row in rows]
    assert numbers == ["12,345", "7", "-"]
    assert all(row[:end].endswith(number) for row, number in zip(rows, numbers, strict=True))
    state = head.index("state")
    assert [row[state:] for row in rows] == ["online", "The camera was unplugged.", "offline"]


def test_a_device_that_is_cut_off_is_not_said_to_be_online(broker) -> None:
    address, listener = broker
    listener.say("status/edge-1/front", json.dumps(ROW).encode(), retain=True)
    listener.say("status/edge-1", b"link down", retain=True)
    assert facefleet("status", BROKER=address).stdout.splitlines()[1].endswith("link down")
    listener.say("status/edge-1", b"link up", retain=True)
    assert facefleet("status", BROKER=address).stdout.splitlines()[1].endswith("online")


def test_what_is_not_a_detectors_status_is_passed_over(broker) -> None:
    address, listener = broker
    for n, payload in enumerate(
        [
            b"",
            b"\xff",
            b"5",
            b"[]",
            b"null",
            b'{"state": "online"}',
            b'{"state": 1}',
            json.dumps({**ROW, "stored": "many"}).encode(),
            json.dumps({**ROW, "p50": "soon"}).encode(),
            json.dumps({**ROW, "camera": None}).encode(),
            b"[" * 100_000,
        ]
    ):
        listener.say(f"status/edge-1/camera-{n}", payload, retain=True)
    listener.say("status/edge-1/front", json.dumps(ROW).encode(), retain=True)
    result = facefleet("status", BROKER=address)
    assert result.returncode == 0, result.stderr
    assert [row.split()[0] for row in result.stdout.splitlines()] == ["camera", "edge-1/front"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "never heard of: is its detector running?"),
        ({"state": "offline"}, "offline"),
        ({**ROW, "stored": 0, "camera": "There is no /dev/video0."}, "camera: There is no"),
        ({**ROW, "stored": 0}, "12345 captured, none stored"),
    ],
)
def test_a_camera_that_does_not_deliver_is_named(broker, row: dict | None, reason: str) -> None:
    address, listener = broker
    listener.say("status/edge-1/front", json.dumps(ROW).encode(), retain=True)
    if row:
        listener.say("status/edge-2/front", json.dumps(row).encode(), retain=True)
    result = facefleet(
        "status", "--expect", "edge-1/front,edge-2/front", "--seconds", "0.5", BROKER=address
    )
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith(f"not delivering after 0 s: edge-2/front ({reason}")
    assert "edge-1/front" in result.stdout


@pytest.mark.parametrize("name", ["foo", "edge-1/", "/front", "edge-1/front/2", "Edge 1/front"])
def test_what_names_no_camera_is_not_waited_for(name: str) -> None:
    started = time.monotonic()
    result = facefleet("status", "--expect", f"edge-1/front,{name}", BROKER="mqtt://127.0.0.1:1")
    assert time.monotonic() - started < 20  # of the 30 s that it waits
    assert result.returncode == 1
    assert told(result) == [
        f"{name!r} does not name a camera: give device/camera, such as edge-1/front"
    ]


def test_no_broker() -> None:
    result = facefleet("status", BROKER="mqtt://127.0.0.1:1")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert "cannot connect to 127.0.0.1:1" in sentence


def test_it_waits_for_a_camera_that_is_late(broker, rig: Rig) -> None:
    address, listener = broker
    status = Process(
        "status",
        [str(BIN / "facefleet"), "status", "--expect", "edge-1/front"],
        rig.folder,
        {"FACEFLEET_BROKER": address},
    )
    rig.processes.append(status.start())
    broker_log = rig.folder / "broker.log"
    await_true(lambda: broker_log.read_text().count("New client connected") == 2, "it listens")
    listener.say("status/edge-1/front", json.dumps({**ROW, "stored": 0}).encode())
    listener.say("status/edge-1/front", json.dumps(ROW).encode())
    assert status.wait(10) == 0
    assert "12,340" in status.log.read_text()
