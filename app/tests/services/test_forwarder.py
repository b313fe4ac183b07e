"""The forwarder as a process, between two brokers that come, go and forget."""

import json
import signal
import socket
import time
import urllib.request

from facefleet.delivery.budget import BURST
from facefleet.protocol import HELLO

from support.listener import Listener
from support.rig import Process, Rig, await_true, free_port, ready, unmet

FACE = "faces/edge-1/front/2026/02/28/235959-000001-0123abcd-7-89abcdef"
STATUS = "status/edge-1/front"
LINK = "status/edge-1"


def forwarder(
    rig: Rig, edge: int, cloud: int, *, wait: bool = True, **more: object
) -> tuple[Process, str]:
    return rig.service(
        "forwarder",
        device="edge-1",
        edge_broker=f"mqtt://127.0.0.1:{edge}",
        cloud_broker=f"mqtt://127.0.0.1:{cloud}",
        wait=wait,
        **more,
    )


def dropped(url: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    name = 'facefleet_messages_not_forwarded_total{to="cloud"}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def unready(url: str) -> dict[str, str]:
    return json.loads(unmet(url) or '{"unmet": {"all": "no answer"}}')["unmet"]


def test_it_carries_faces_up_and_receipts_down_and_nothing_else(rig: Rig) -> None:
    _, edge = rig.mosquitto("edge")
    _, cloud = rig.mosquitto("cloud")
    process, _ = forwarder(rig, edge, cloud)
    with Listener(edge, "receipts/#") as below, Listener(cloud, "#") as above:
        below.say(FACE.replace("edge-1", "edge-2"), b"another device's")
        below.say("other/edge-1", b"x")
        below.say(FACE, bytes(range(256)))
        await_true(lambda: above.on(FACE), "the face is in the cloud")
        assert above.on(FACE) == [bytes(range(256))]
        assert {topic for topic, *_ in above.heard if topic.startswith(("faces/", "other/"))} == {
            FACE
        }
        above.say("receipts/edge-2/front", b"another device's")
        above.say("receipts/edge-1/front", b"stored")
        await_true(lambda: below.on("receipts/edge-1/front") == [b"stored"], "the receipt is back")
        assert not below.on("receipts/edge-2/front")
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


def test_hello_is_said_when_either_side_is_back(rig: Rig) -> None:
    above, edge = rig.mosquitto("edge")
    beyond, cloud = rig.mosquitto("cloud")
    _, url = forwarder(rig, edge, cloud)
    with Listener(edge, HELLO) as listener:
        beyond.kill()
        await_true(lambda: "cloud broker" in unready(url), "it noticed")
        beyond.start()
        await_true(lambda: listener.on(HELLO), "it says hello: the cloud is back")
    above.kill()
    await_true(lambda: "edge broker" in unready(url), "it noticed")
    above.start()
    await_true(lambda: ready(url), "the edge is back")


def test_what_a_device_last_said_reaches_a_cloud_that_came_late_or_forgot(rig: Rig) -> None:
    _, edge = rig.mosquitto("edge")
    cloud = free_port()
    with Listener(edge, "none") as detector:
        detector.say(STATUS, b"online", retain=True)
    _, url = forwarder(rig, edge, cloud, wait=False)
    await_true(lambda: list(unready(url)) == ["cloud broker"], "only the cloud is missing")

    broker, _ = rig.mosquitto("cloud", cloud)
    for life in ("late", "wiped"):
        await_true(lambda: ready(url), life)
        with Listener(cloud, "status/#") as person:
            await_true(lambda: person.on(STATUS), f"the status is in a {life} cloud")
        with Listener(cloud, "status/#") as person:
            await_true(lambda: person.retained(STATUS) == [b"online"], "and stays")
            await_true(lambda: person.retained(LINK) == [b"link up"], "the link is up")
        broker.kill()
        await_true(lambda: not ready(url), "the cloud is gone")
        broker.start()


def test_the_link_is_told_down(rig: Rig) -> None:
    _, edge = rig.mosquitto("edge")
    _, cloud = rig.mosquitto("cloud")
    process, _ = forwarder(rig, edge, cloud)
    with Listener(cloud, LINK) as person:
        await_true(lambda: person.on(LINK) == [b"link up"], "up")
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        await_true(lambda: person.on(LINK) == [b"link up", b"link down"], "down by SIGTERM")
        process.start()
        await_true(lambda: person.on(LINK)[2:] == [b"link up"], "up again")
        process.kill()
        await_true(lambda: person.on(LINK)[3:] == [b"link down"], "down by its will")
    with Listener(cloud, LINK) as person:
        await_true(lambda: person.retained(LINK) == [b"link down"], "and it stays known")


def test_faces_keep_to_the_rate_of_the_uplink_and_a_status_does_not_wait(rig: Rig) -> None:
    _, edge = rig.mosquitto("edge")
    _, cloud = rig.mosquitto("cloud")
    forwarder(rig, edge, cloud, uplink_rate="64kbit")
    faces = [FACE.replace("-7-", f"-{number}-") for number in range(9)]
    with Listener(edge, "none") as detector, Listener(cloud, "#") as above:
        began = time.monotonic()
        for face in (*faces, faces[-1]):  # the last one is resent while it waits
            detector.say(face, bytes(8000))  # a second of the rate
        detector.say(STATUS, b"online", retain=True)
        await_true(lambda: above.on(faces[-1]), "all faces are in the cloud")
        assert time.monotonic() - began >= 8 - BURST
        order = [topic for topic, *_ in above.heard if topic in (*faces, STATUS)]
        assert [topic for topic in order if topic != STATUS] == faces
        assert order[-1] == faces[-1]


def test_faces_keep_to_the_number_of_messages(rig: Rig) -> None:
    _, edge = rig.mosquitto("edge")
    _, cloud = rig.mosquitto("cloud")
    forwarder(rig, edge, cloud, uplink_messages=2)
    faces = [FACE.replace("-7-", f"-{number}-") for number in range(6)]
    with Listener(edge, "none") as detector, Listener(cloud, "#") as above:
        began = time.monotonic()
        for face in faces:
            detector.say(face, b"face")
        await_true(lambda: above.on(faces[-1]), "all faces are in the cloud")
        assert time.monotonic() - began >= 2
        assert [topic for topic, *_ in above.heard if topic in faces] == faces


def test_while_the_cloud_is_down_it_drops(rig: Rig) -> None:
    _, edge = rig.mosquitto("edge")
    broker, cloud = rig.mosquitto("cloud")
    process, url = forwarder(rig, edge, cloud)
    broker.kill()
    await_true(lambda: "cloud broker" in unready(url), "readiness says so")
    with Listener(edge, "none") as detector:
        for _ in range(10):
            detector.say(FACE, b"lost on its way")
        await_true(lambda: dropped(url) == 10, "all are dropped, and counted")
        broker.start()
        await_true(lambda: ready(url), "the cloud is back")
        with Listener(cloud, "faces/#") as above:
            detector.say(FACE, b"new")
            await_true(lambda: above.on(FACE), "a new one passes")
            assert above.on(FACE) == [b"new"]
    assert "Traceback" not in process.log.read_text()


def test_a_cloud_that_takes_all_and_says_nothing_is_noticed(rig: Rig) -> None:
    _, edge = rig.mosquitto("edge")
    with socket.create_server(("127.0.0.1", 0)) as blackhole:
        cloud = blackhole.getsockname()[1]
        process, url = forwarder(rig, edge, cloud, wait=False)
        await_true(lambda: "no response for" in unready(url).get("cloud broker", ""), "told")
        assert list(unready(url)) == ["cloud broker"]
        assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()
