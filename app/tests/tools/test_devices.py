"""The fleet device by device, as a person and a program see it."""

import json
from pathlib import Path

import pytest
from facefleet.errors import FacefleetError
from facefleet.report import Report, report_topic
from facefleet.tools import devices
from facefleet.tools.fleet import DAY, Desired, problems, read_fleet

from support.authority import Authority
from support.cloud import PROCESSOR, Cloud, certificate
from support.listener import Listener
from support.rig import BUCKET, Rig, await_true, free_port
from support.shell import facefleet, told

NOW = 1_795_770_000.0
STARTED = NOW - 5 * DAY
START = "2026-11-22 09:00 UTC"
REPORT = Report(
    at=int(NOW) - 60,
    up=3 * DAY,
    memory=5120,
    temperature=51,
    certificate=int(NOW) + 83 * DAY + 5,
    clock=0.02,
    bound=0.04,
    content="0123456789ab",
    k3s="v1.36.3+k3s1",
    configuration="0a1b2c3d4e5f",
    applied="2026-11-27T09:00:00Z",
)
CAMERA = {
    "state": "online",
    "camera": "ok",
    "captured": 12345,
    "stored": 12340,
    "pending": 5,
    "p50": 0.05,
    "p99": 1.5,
    "fps": 4.9,
    "fps_wanted": 5,
    "oldest": 40,
    "hour": 120,
    "disk": 84_200,
}
DESIRED = Desired("0123456789ab", "v1.36.3+k3s1", "0a1b2c3d4e5f", ("door",), "")


def report(**changes: object) -> str:
    return json.dumps({**json.loads(REPORT.encode()), **changes})


def statuses(name: str = "jetson-1", **changes: object) -> dict[str, dict]:
    """A device that is well, but for the changes to its link, report and camera."""
    payloads = {"link": "link up", "report": REPORT.encode().decode(), "door": json.dumps(CAMERA)}
    payloads |= {key: value for key, value in changes.items() if key in payloads}
    ago = {"link": 500.0, "report": 60.0, "door": 20.0} | changes.get("ago", {})
    topics = {"link": f"status/{name}", "report": report_topic(name), "door": f"status/{name}/door"}
    return {
        topics[key]: {"payload": payload, "heard": ago[key] and NOW - ago[key], "since": None}
        for key, payload in payloads.items()
        if payload is not None
    }


def answer(*parts: dict) -> dict:
    joined = {topic: status for part in parts for topic, status in part.items()}
    return {"now": NOW, "started": STARTED, "statuses": joined}


def sentences(part: dict, desired: Desired | None = DESIRED) -> list[str]:
    """What is said of jetson-1."""
    wanted = None if desired is None else {"jetson-1": desired}
    fleet = read_fleet(answer(part), wanted)
    return problems(fleet.devices["jetson-1"], fleet, has_inventory=wanted is not None)


def test_tables_that_line_up() -> None:
    fleet = read_fleet(
        answer(
            statuses(),
            statuses(
                "a-device-of-a-longer-name",
                link="link down",
                report=report(content="f" * 12, clock=-7200.5, certificate=int(NOW) - 3),
                door='{"state": "offline"}',
            ),
        ),
        {"jetson-1": DESIRED, "a-device-of-a-longer-name": DESIRED, "jetson-3": DESIRED},
    )
    text = devices.as_text(fleet, has_inventory=True)
    machines, versions, cameras, said = text.split("\n\n")
    for block, columns in (
        (machines, ("link", "heard", "disk free", "clock ahead")),
        (versions, ("content", "configuration", "drift")),
        (cameras, ("captured", "last hour", "state")),
    ):
        head, *rows = block.splitlines()
        assert max(map(len, (head, *rows))) <= 120
        for column in columns:
            edge = head.index(column)
            assert all(
                row[edge - 2 : edge].strip() == "" or row[edge - 1].isdigit() is False
                for row in rows
            )
    assert machines.splitlines()[2].split() == [
        *("jetson-1", "up", "20", "s", "ago", "3", "days", "84.2", "GB", "5.1", "GB", "51", "°C"),
        *("83", "days", "+0.0", "s", "±", "0.0"),
    ]
    assert machines.splitlines()[3].split() == ["jetson-3", *"--------"]
    assert versions.splitlines()[1].split()[1:] == [
        *("ffffffffffff", "v1.36.3+k3s1", "0a1b2c3d4e5f", "2026-11-27T09:00:00Z", "content"),
    ]
    assert versions.splitlines()[2].endswith("  none")
    assert cameras.splitlines()[2].split() == [
        *("jetson-1/door", "12,345", "12,340", "5", "60", "s", "120", "4.9/5", "0.050", "1.500"),
        "online",
    ]
    assert [line.split(":")[0] for line in said.splitlines()] == [
        *["a-device-of-a-longer-name"] * 4,
        "jetson-3",
    ]


def test_a_fleet_that_is_well_has_no_problems() -> None:
    assert sentences(statuses()) == []
    text = devices.as_text(read_fleet(answer(statuses()), None), has_inventory=False)
    assert text.endswith("\n\nNo problems.")
    assert "drift" in text


def test_a_fleet_of_no_device() -> None:
    text = devices.as_text(read_fleet(answer(), None), has_inventory=False)
    assert text == "No device has been heard of."


OFFLINE = '{"state": "offline"}'
UPLINK = "check its power and its uplink."


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"report": report(certificate=int(NOW) + 14 * DAY)}, []),
        (
            {"report": report(certificate=int(NOW) + 14 * DAY - 1)},
            ["Its certificate expires in 13 days: run playbooks/edge.yml, which renews it."],
        ),
        (
            {"report": report(certificate=int(NOW) - 1)},
            ["Its certificate expired 1 days ago: run playbooks/edge.yml, which renews it."],
        ),
        ({"report": report(memory=200)}, []),
        ({"report": report(memory=199)}, ["It has only 199 MB of memory left."]),
        ({"report": report(temperature=84)}, []),
        ({"report": report(temperature=85)}, ["It is 85 °C hot: cool it."]),
        ({"report": report(clock=5.04)}, []),
        (
            {"report": report(clock=5.05)},
            ["Its clock is 5 s ahead of the cloud's: check its time synchronization."],
        ),
        ({"report": report(clock=-9.0, bound=4.0)}, []),
        (
            {"report": report(clock=-7200.0)},
            ["Its clock is 2 h behind the cloud's: check its time synchronization."],
        ),
        (
            {"report": report(content="f" * 12, k3s=None)},
            [
                "It does not run what the inventory says: content ffffffffffff instead of "
                "0123456789ab, k3s unknown instead of v1.36.3+k3s1."
            ],
        ),
        ({"door": json.dumps({**CAMERA, "disk": 2000})}, []),
        (
            {"door": json.dumps({**CAMERA, "disk": 1999})},
            ["Its disk has only 2.0 GB left: free some space."],
        ),
        ({"door": OFFLINE}, ["Camera door: Its detector does not run."]),
        (
            {"door": None},
            ["Camera door: It has sent no status: check whether its detector runs."],
        ),
        (
            {"door": json.dumps({**CAMERA, "view": "dark"})},
            ["Camera door: The picture is black: remove the lens cap, or switch on the light."],
        ),
        (
            {"door": json.dumps({**CAMERA, "fps": 1})},
            ["Camera door: It is watched more slowly than requested: see the log of its detector."],
        ),
        (
            {"door": json.dumps({**CAMERA, "full_in": 7200, "evicted": 1000, "dead": 2})},
            [
                "Camera door: Its outbox is full in 2 h, and then evicts faces.",
                "Camera door: 1,000 of its faces were evicted or dropped.",
                "Camera door: 2 of its faces were refused: see `facefleet outbox list`.",
            ],
        ),
        (
            {"link": "link down"},
            [f"It is cut off from the cloud, and was last heard 2026-11-27 08:59 UTC: {UPLINK}"],
        ),
        (
            {"ago": {"report": 400.0, "door": 320.0, "link": 900.0}},
            [f"Nothing was heard of it for 5 min, although it has not disconnected: {UPLINK}"],
        ),
        ({"ago": {"report": 400.0, "door": 300.0, "link": 900.0}}, []),
        (
            {"ago": {"report": 1801.0, "door": 2000.0, "link": 9000.0}, "door": OFFLINE},
            [
                f"Nothing was heard of it for 30 min, although it has not disconnected: {UPLINK}",
                "Camera door: Its detector does not run.",
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(changes: dict, expected: list[str]) -> None:
    assert sentences(statuses(**changes)) == expected


def test_a_device_that_the_cloud_has_never_heard_of() -> None:
    unreached = Desired(content="0123456789ab", ssh="No route to host.\x1b[2J")
    assert sentences({}, unreached) == [
        "ssh does not reach it: No route to host.?[2J",
        f"The cloud has heard nothing of it since {START}: {UPLINK}",
    ]


def test_a_device_that_is_cut_off_is_said_to_be_since_when() -> None:
    part = statuses(link="link down")
    part["status/jetson-1"]["since"] = NOW - 2 * 3600
    assert sentences(part)[0] == (
        "It is cut off from the cloud since 2026-11-27 07:00 UTC, and was last heard 2026-11-27 "
        f"08:59 UTC: {UPLINK}"
    )
    fleet = read_fleet(answer(part), None)
    assert fleet.devices["jetson-1"].heard == NOW - 20  # not when the broker said that it is gone
    assert devices.as_text(fleet, has_inventory=False).splitlines()[-3].endswith("  link down")


def test_a_device_without_a_place_in_the_inventory() -> None:
    fleet = read_fleet(answer(statuses()), {})
    (device,) = fleet.devices.values()
    assert problems(device, fleet, has_inventory=True) == ["It is not in the inventory."]
    assert problems(device, fleet, has_inventory=False) == []


def test_what_was_retained_was_heard_when_the_device_says() -> None:
    """By its own clock, corrected by what is known of that."""
    part = statuses(report=report(at=int(NOW) + 1000, clock=1060.0))
    retained = {topic: {**status, "heard": None} for topic, status in part.items()}
    fleet = read_fleet(answer(retained), None)
    assert fleet.devices["jetson-1"].heard == NOW - 60
    assert fleet.devices["jetson-1"].oldest("door", NOW) == 40


def test_an_older_device_reports_less() -> None:
    older = {
        name: value for name, value in CAMERA.items() if name not in ("oldest", "hour", "disk")
    }
    part = statuses(report=None, door=json.dumps(older))
    assert sentences(part, Desired(ssh="")) == []
    machines, _, cameras, _ = devices.as_text(
        read_fleet(answer(part), None), has_inventory=False
    ).split("\n\n")
    assert machines.splitlines()[1].split() == ["jetson-1", "up", "20", "s", "ago", *"------"]
    assert cameras.splitlines()[1].split()[4:6] == ["-", "-"]


@pytest.mark.parametrize(
    "bad",
    [
        {"status/edge-1": 5},
        {"status/edge-1": {"payload": ["link up"]}},
        {"status/Edge": {"payload": "link up"}},
        {"status/edge-1/front/more": {"payload": "link up"}},
        {"faces/edge-1": {"payload": "link up"}},
        {"status": {"payload": "link up"}},
        {"": {"payload": "link up"}},
    ],
)
def test_what_is_no_status_is_passed_over(bad: dict) -> None:
    assert read_fleet(answer(bad), None).devices == {}


def test_a_device_that_lies_is_judged_by_itself_alone() -> None:
    lies = {
        "status/edge-1": {"payload": "link sideways", "heard": "now", "since": [1]},
        "status/edge-1/front": {"payload": '{"state": "online\\u001b"}', "heard": float("nan")},
        "status/edge-1/_device": {"payload": "[" * 4000, "heard": 10**400},
        "status/edge-1/\x1b[2J": {"payload": json.dumps(CAMERA), "heard": NOW},
        "status/edge-1/huge": {
            "payload": json.dumps({**CAMERA, "hour": 9e17, "oldest": 9e17, "disk": 9e17}),
            "heard": -1,
        },
    }
    fleet = read_fleet(answer(lies, statuses()), None)
    honest = fleet.devices["jetson-1"]
    assert problems(honest, fleet, has_inventory=False) == []
    text = devices.as_text(fleet, has_inventory=True)
    assert "\x1b" not in text
    json.dumps(devices.as_data(fleet, has_inventory=True), allow_nan=False)


@pytest.mark.parametrize(
    "body", [[], {}, {"statuses": []}, {"statuses": {}}, {"statuses": {}, "now": -1, "started": 0}]
)
def test_what_is_no_answer_of_a_processor_is_refused(body: object) -> None:
    with pytest.raises(FacefleetError, match="check its address"):
        read_fleet(body, None)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Edge", {}),
        ("edge-1", []),
        ("edge-1", {"content": 5}),
        ("edge-1", {"contents": "x"}),
        ("edge-1", {"cameras": "door"}),
        ("edge-1", {"cameras": [5]}),
    ],
)
def test_a_desired_state_that_cannot_be_is_refused(name: str, body: object) -> None:
    with pytest.raises(FacefleetError, match="is not valid: give an object"):
        Desired.of(name, body)


@pytest.mark.parametrize("text", ["{", "[]", '{"edge-1": 5}'])
def test_a_desired_file_that_cannot_be_used_has_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "desired.json"
    path.write_text(text)
    result = facefleet("devices", f"--desired={path}", PROCESSOR="127.0.0.1:1")
    assert result.returncode == 1
    assert len(told(result)) == 1


def test_a_processor_that_does_not_answer() -> None:
    result = facefleet("devices", PROCESSOR="127.0.0.1:1")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith("no answer from the processor at 127.0.0.1:1 (")


def test_a_fleet_from_its_machines_to_the_table(rig: Rig, tmp_path: Path) -> None:
    """With TLS, as the role configures the broker, and a record as the playbooks write it."""
    authority = Authority("ours")
    cloud = Cloud(rig, authority)
    _, edge = rig.mosquitto("edge")
    _, endpoint = rig.moto()
    tls = {name: certificate(rig.folder / name, authority, name) for name in (PROCESSOR, "edge-1")}
    address = f"127.0.0.1:{free_port()}"
    rig.service(
        "processor",
        broker=cloud.url,
        tls=tls[PROCESSOR],
        bucket=BUCKET,
        http=address,
        AWS_ENDPOINT_URL=endpoint,
    )
    record = tmp_path / "deployed.json"
    forwarder, _ = rig.service(
        "forwarder",
        device="edge-1",
        edge_broker=f"mqtt://127.0.0.1:{edge}",
        cloud_broker=cloud.url,
        tls=tls["edge-1"],
        deployed=record,
    )
    desired = tmp_path / "desired.json"
    desired.write_text('{"edge-1": {"content": "0123456789ab", "ssh": ""}, "edge-2": {}}')

    def seen() -> dict:
        result = facefleet("devices", "--json", f"--desired={desired}", PROCESSOR=address)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)["devices"]

    def device() -> dict:
        return seen()["edge-1"]

    await_true(lambda: device()["clock_ahead_seconds"] is not None, "the clocks were compared")
    first = device()
    assert abs(first["clock_ahead_seconds"]) <= first["clock_bound_seconds"]
    assert first["certificate_days_left"] in (29, 30)
    assert first["up_seconds"] > 0
    assert first["memory_available_bytes"] > 0
    assert first["drift"] == {"content": "0123456789ab"}
    record.write_text('{"content": "0123456789ab", "k3s": null, "configuration": "0a1b2c3d4e5f"}')
    await_true(lambda: device()["drift"] == {}, "the record has arrived")
    with Listener(edge, "#") as detector:
        detector.say("status/edge-1/front", json.dumps(CAMERA).encode(), retain=True)
        await_true(lambda: "front" in device()["cameras"], "the camera has arrived")
        assert not [topic for topic, *_ in detector.heard if "_" in topic]  # the edge has no part
    assert device()["problems"] == []
    before = device()["heard"]
    forwarder.kill()
    await_true(lambda: device()["link"] == "down", "the broker has noticed")
    gone = device()
    assert gone["link_since"] >= gone["heard"] >= before
    text = facefleet("devices", f"--desired={desired}", PROCESSOR=address).stdout
    assert "edge-1: It is cut off from the cloud since " in text
    assert "edge-2: The cloud has heard nothing of it since " in text
    cloud.process.kill()  # and what it retained is gone
    cloud.process.start()
    assert device()["link"] == "down"
    assert device()["heard"] == gone["heard"]
