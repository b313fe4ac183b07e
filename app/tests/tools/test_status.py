"""The table as a person sees it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from facefleet.settings import StatusSettings
from facefleet.tools import cameras, status

from support.listener import Listener
from support.rig import BIN, Process, Rig, await_true
from support.shell import facefleet, told

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
    "fps": 1.96,
    "fps_wanted": 2.0,
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
    head, *rows, reason = result.stdout.splitlines()
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
    assert [row[state:] for row in rows] == ["online", "camera fault", "offline"]
    assert reason == "edge-2/a-longer-name: The camera was unplugged."
    fps = head.index("fps")
    assert [row[fps:].split()[0] for row in rows] == ["2.0/2", "2.0/2", "-"]
    assert max(map(len, (head, *rows))) <= 100


def test_a_camera_that_sees_nothing_is_named_with_what_to_do(broker) -> None:
    address, listener = broker
    for camera, view in {"edge-1/front": "dark", "edge-2/front": "upside down\x1b[2J" * 9}.items():
        row = json.dumps({**ROW, "view": view}).encode()
        listener.say(f"status/{camera}", row, retain=True)
    _, dark, unknown, *reasons = facefleet("status", BROKER=address).stdout.splitlines()
    assert dark.endswith("  dark")
    assert unknown.endswith("upside down?[2Jupsid")
    assert reasons == [
        "edge-1/front: The picture is black: remove the lens cap, or switch on the light.",
        "edge-2/front: The view is upside down?[2Jupsid.",
    ]


def test_a_camera_that_is_off_by_its_schedule_has_no_fault(broker) -> None:
    address, listener = broker
    row = json.dumps({**ROW, "stored": 0, "view": "off by schedule"}).encode()
    listener.say("status/edge-1/front", row, retain=True)
    result = facefleet("status", "--expect=edge-1/front", "--seconds=8", BROKER=address)
    assert result.returncode == 0, result.stderr
    (_, line) = result.stdout.splitlines()
    assert line.endswith("  off by schedule")


def test_a_clone_is_named_with_what_to_do(broker) -> None:
    address, listener = broker
    row = json.dumps({**ROW, "cloned": True, "view": "dark"}).encode()
    listener.say("status/edge-1/front", row, retain=True)
    _, line, *sentences = facefleet("status", BROKER=address).stdout.splitlines()
    assert line.endswith("  cloned")
    assert sentences == [
        f"edge-1/front: {status.CLONED}",
        "edge-1/front: The picture is black: remove the lens cap, or switch on the light.",
    ]


def test_the_columns_add_up(broker) -> None:
    address, listener = broker
    counts = {
        "captured": 1234567,
        "stored": 1200000,
        "pending": 256,
        "quarantined": 30000,
        "dead": 4000,
        "evicted": 300,
        "dropped": 11,
    }
    row = {**ROW, **counts, "p99": 3599.123, "fps": 0.9, "fps_wanted": 5}
    listener.say("status/edge-1/front", json.dumps(row).encode(), retain=True)
    shown = facefleet("status", BROKER=address).stdout.splitlines()[1]
    assert shown.split()[1:7] == ["1,234,567", "1,200,000", "256", "34,000", "311", "0.9/5"]
    captured, *rest = [int(number.replace(",", "")) for number in shown.split()[1:6]]
    assert captured == sum(rest)
    assert shown.endswith("slow")
    assert len(shown) <= 100


def test_counts_that_a_status_leaves_out_are_zero(broker) -> None:
    address, listener = broker
    brief = {"state": "online", "camera": "ok", "fps": 0.0, "fps_wanted": 2, "captured": 3}
    listener.say("status/edge-1/front", json.dumps(brief).encode(), retain=True)
    shown = facefleet("status", BROKER=address).stdout.splitlines()[1].split()
    assert shown[1:] == ["3", "0", "0", "0", "0", "0.0/2", "-", "-", "slow"]


@pytest.mark.parametrize(
    ("forecast", "shown"),
    [
        ({"drained_in": 45}, "online, drains in 45 s"),
        ({"drained_in": 1500}, "online, drains in 25 min"),
        ({"drained_in": 10_800}, "online, drains in 3 h"),
        ({"full_in": 180_000}, "online, full in 2 days"),
        ({"full_in": 3600, "fps": 0.5}, "slow, full in 60 min"),
        ({"full_in": 86_400, "camera": "It was unplugged."}, "camera fault, full in 24 h"),
        ({"drained_in": None, "full_in": None}, "online"),
        ({"paused": True}, "online, paused"),
        ({"paused": True, "full_in": 7200}, "online, paused, full in 2 h"),
    ],
)
def test_the_forecast_of_a_backlog_is_shown(forecast: dict, shown: str) -> None:
    row = cameras.parse_row(json.dumps({**ROW, **forecast}).encode())
    assert status._rows({"edge-1/front": row})[1][-1] == shown


def test_no_forecast_is_shown_of_a_status_that_may_be_old(broker) -> None:
    address, listener = broker
    listener.say("status/edge-1/front", json.dumps({**ROW, "full_in": 9}).encode(), retain=True)
    listener.say("status/edge-1", b"link down", retain=True)
    assert facefleet("status", BROKER=address).stdout.splitlines()[1].endswith("  link down")


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
            json.dumps({**ROW, "fps": float("nan")}).encode(),
            json.dumps({**ROW, "fps_wanted": [5]}).encode(),
            json.dumps({**ROW, "full_in": -1}).encode(),
            json.dumps({**ROW, "paused": "perhaps"}).encode(),
            json.dumps({**ROW, "cloned": 1}).encode(),
            json.dumps({**ROW, "drained_in": "soon"}).encode(),
            json.dumps({**ROW, "camera": None}).encode(),
            json.dumps({**ROW, "view": ["dark"]}).encode(),
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
        (None, "no status received: is its detector running?"),
        ({"state": "offline"}, "offline"),
        ({**ROW, "stored": 0, "camera": "There is no /dev/video0."}, "camera: There is no"),
        ({**ROW, "view": "covered"}, "camera: The picture shows nothing but a plain surface: "),
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
    assert told(result) == [f"{name!r} is not a camera: give device/camera, such as edge-1/front"]


def test_no_broker() -> None:
    result = facefleet("status", BROKER="mqtt://127.0.0.1:1")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert "cannot connect to 127.0.0.1:1" in sentence


def test_a_camera_that_has_seen_nobody_is_well(broker) -> None:
    address, listener = broker
    empty = {**ROW, "captured": 0, "stored": 0, "pending": 0, "p50": None, "fps": None}
    for camera, row in {"edge-1/front": empty, "edge-2/front": ROW}.items():
        listener.say(f"status/{camera}", json.dumps(row).encode(), retain=True)
    result = facefleet(
        "status", "--expect", "edge-1/front,edge-2/front", "--seconds", "1", BROKER=address
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].endswith("no face yet")


def test_the_status_of_an_older_detector_is_read(broker) -> None:
    address, listener = broker
    row = {name: value for name, value in ROW.items() if not name.startswith("fps")}
    listener.say("status/edge-1/front", json.dumps(row).encode(), retain=True)
    result = facefleet("status", "--expect", "edge-1/front", BROKER=address)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].endswith("online")


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
    # Retained, for it may not have subscribed yet.
    for row in ({**ROW, "stored": 0}, ROW):
        listener.say("status/edge-1/front", json.dumps(row).encode(), retain=True)
    assert status.wait(10) == 0
    assert "12,340" in status.log.read_text()


def test_cameras_are_found_where_the_broker_retains_nothing(
    broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """RabbitMQ sends no retained message to a subscription with a wildcard."""
    monkeypatch.setattr(status, "HINT", 0.2)
    monkeypatch.setattr(status, "FIRST_STATUS", 2.0)
    address, listener = broker
    with ThreadPoolExecutor() as pool:
        shown = pool.submit(status.print_table, StatusSettings(broker=address), [], 0)
        hint = "The broker has no status of any camera: waiting up to 60 s for one."
        await_true(lambda: hint in capsys.readouterr().err, "it says what it waits for")
        while not shown.done():
            listener.say("status/edge-1/front", json.dumps(ROW).encode())
            time.sleep(0.1)
    shown.result()
    assert "12,340" in capsys.readouterr().out
