"""Who may speak to the cloud's broker, shown by what a client gets back.

With real Mosquitto, configured as the role `facefleet` does it.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from facefleet.mqtt import Connection
from paho.mqtt.subscribeoptions import SubscribeOptions
from pydantic import AnyUrl

from support.authority import Authority
from support.cloud import GALLERY, OPERATOR, PROCESSOR, Cloud, certificate
from support.rig import BUCKET, Process, Rig, await_true, keys, ready, unmet
from support.shell import facefleet, told

CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01x"
WELCOME = b"\x20\x02\x00\x00"
NOT_AUTHORIZED = "Not authorized"


class Fleet:
    """An authority, the broker, and a folder with a certificate for who asks for one."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.authority = Authority("ours")
        self.cloud = Cloud(rig, self.authority)

    def certificate(self, name: str) -> Path:
        return certificate(self.rig.folder / name, self.authority, name)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Rig(tmp_path_factory.mktemp("tls")) as rig:
        yield Fleet(rig)


# -- who is heard at all -----------------------------------------------------------------------


def answer(port: int, folder: Path | None, newest: ssl.TLSVersion) -> bytes:
    """What the broker answers to a CONNECT by who shows the certificate in a folder, or none.

    Raises ssl.SSLError with the reason that it gives.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    if folder:
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain) as secure,
    ):
        secure.sendall(CONNECT)
        return secure.recv(100)


def said(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")


def nobody(_fleet: Fleet, _folder: Path) -> None:
    return None


def another_fleets(_fleet: Fleet, folder: Path) -> Path:
    Authority("theirs").issue(folder, "edge-1")
    return folder


def another_fleets_of_our_name(_fleet: Fleet, folder: Path) -> Path:
    Authority("ours").issue(folder, "edge-1")
    return folder


def expired(fleet: Fleet, folder: Path) -> Path:
    fleet.authority.issue(folder, "edge-1", days=-1)
    return folder


def revoked(fleet: Fleet, folder: Path) -> Path:
    serial = fleet.authority.issue(folder, "edge-9")
    assert answer(fleet.cloud.port, folder, ssl.TLSVersion.TLSv1_3) == WELCOME
    (fleet.cloud.folder / "crl.pem").write_bytes(fleet.authority.revoke(serial))
    fleet.cloud.reread()
    return folder


def a_server(fleet: Fleet, folder: Path) -> Path:
    fleet.authority.issue(folder, "edge-1", usage="server")
    return folder


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (nobody, "certificate required|handshake failure"),
        (another_fleets, "unknown ca"),
        (another_fleets_of_our_name, "unknown ca|decrypt error|bad certificate"),
        (expired, "certificate expired"),
        (revoked, "certificate revoked"),
        (a_server, "unsupported certificate|bad certificate|unknown ca"),
    ],
)
def test_who_has_no_good_certificate_is_refused(
    fleet: Fleet, tmp_path: Path, who, reason: str, newest: ssl.TLSVersion
) -> None:
    folder = who(fleet, tmp_path / "certificate")

    reasons: list[str] = []

    def refused() -> bool:
        try:
            return answer(fleet.cloud.port, folder, newest) != WELCOME  # or it is not known yet
        except (ssl.SSLEOFError, ConnectionError):  # the end overtook the reason: ask again
            return False
        except ssl.SSLError as error:
            reasons.append(said(error))
            return True

    await_true(refused, "it is refused")
    assert any(words in reasons[-1] for words in reason.split("|")), reasons


def test_who_has_one_is_welcome(fleet: Fleet, tmp_path: Path) -> None:
    fleet.authority.issue(tmp_path, "edge-1")
    for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert answer(fleet.cloud.port, tmp_path, newest) == WELCOME


def test_who_speaks_plainly_gets_no_answer(fleet: Fleet) -> None:
    with socket.create_connection(("127.0.0.1", fleet.cloud.port), timeout=10) as plain:
        plain.sendall(CONNECT)
        with contextlib.suppress(ConnectionResetError):
            said = plain.recv(100)
            assert WELCOME not in said
            assert said == b"" or said[0] == 0x15  # the end, or an alert of TLS


# -- whom a device believes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        ("right", ""),
        ("another_name", "is not the fleet's broker (IP address mismatch"),
        ("another_authority", "is not the fleet's broker (self-signed certificate"),
        ("a_client", "is not the fleet's broker (unsuitable certificate purpose"),
    ],
)
def test_a_device_believes_the_fleets_broker_alone(rig: Rig, server: str, sentence: str) -> None:
    authority = Authority("ours")
    folder = certificate(rig.folder / "edge-1", authority, "edge-1")
    cloud = Cloud(rig, authority)
    if server == "another_name":
        authority.issue(cloud.folder, "broker", usage="server", address="127.0.0.2")
    elif server == "another_authority":
        Authority("theirs").issue(cloud.folder, "broker", usage="server")
    elif server == "a_client":
        authority.issue(cloud.folder, "broker")
    cloud.process.kill()
    cloud.process.start()
    told: list[str] = []
    up = asyncio.Event()

    async def story() -> None:
        connection = Connection(
            AnyUrl(cloud.url), "", on_up=up.set, on_down=told.append, tls=folder
        )
        task = asyncio.create_task(connection.run())
        async with asyncio.timeout(20):
            while not up.is_set() and not any(sentence in one for one in told if sentence):
                await asyncio.sleep(0.02)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(story())
    assert up.is_set() is (server == "right")


@pytest.mark.parametrize("missing", ["ca.crt", "tls.crt", "tls.key"])
def test_a_file_of_the_certificate_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    for name in {"ca.crt", "tls.crt", "tls.key"} - {missing}:
        (tmp_path / name).touch()
    result = facefleet("status", BROKER="mqtts://127.0.0.1:1", TLS=tmp_path)
    assert result.returncode == 1
    assert told(result) == [
        f"cannot use the certificate in {tmp_path} ({missing}: No such file or directory): "
        "issue it again (site.yml does)"
    ]


# -- what each may do --------------------------------------------------------------------------


class Client:
    """MQTT 5, whose broker says why; a context manager."""

    def __init__(self, fleet: Fleet, name: str, *topics: str) -> None:
        self.heard: list[str] = []
        self._reasons: dict[int, str] = {}
        self._subscribed = threading.Event()
        folder = fleet.certificate(name)
        client = self._client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, client_id=f"{name}-test"
        )
        client.tls_set(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")
        client.on_message = lambda _client, _userdata, message: self.heard.append(message.topic)
        client.on_connect = lambda client, *_: client.subscribe(
            [(topic, SubscribeOptions(qos=1)) for topic in (*topics, "nothing")]
        )
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_publish = lambda _client, _userdata, number, reason, _: self._reasons.update(
            {number: str(reason)}
        )
        client.connect("127.0.0.1", fleet.cloud.port)
        client.loop_start()
        assert self._subscribed.wait(10)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, *, retain: bool = False) -> str:
        """Publish. Returns what the broker answers."""
        number = self._client.publish(topic, b"x", 1, retain).mid
        await_true(lambda: number in self._reasons, "an answer")
        return self._reasons[number]


FACE = "2026/02/28/235959-000001-0123abcd-7-89abcdef"


@pytest.mark.parametrize(
    "topic",
    [
        f"faces/edge-2/front/{FACE}",
        "status/edge-2",
        "status/edge-2/front",
        "receipts/edge-1/front",
        "receipts/edge-2/front",
        "receipts/hello",
        f"faces/{FACE}",
        "faces",
        "faces/edge-1",
        "faces/edge-1/front/2026/02/28",
        f"faces/edge-1/front/{FACE}/more",
        "faces/echo",
        "status",
        "status/edge-1/front/more",
        "other/edge-1",
        "$SYS/broker/uptime",
    ],
)
def test_a_device_says_nothing_but_its_own(fleet: Fleet, topic: str) -> None:
    with Client(fleet, "edge-1") as device:
        assert device.say(topic) == NOT_AUTHORIZED


def test_a_device_speaks_of_itself(fleet: Fleet) -> None:
    own = [f"faces/edge-1/front/{FACE}", "status/edge-1", "status/edge-1/front"]
    with Client(fleet, "edge-1") as device:
        assert NOT_AUTHORIZED not in [device.say(topic) for topic in own]


def test_who_sends_more_than_a_face_can_be_is_cut_off(fleet: Fleet, tmp_path: Path) -> None:
    fleet.authority.issue(tmp_path, "edge-2")
    context = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    context.check_hostname = False
    longest = b"\xff\xff\xff\x7f"  # 256 MiB less a byte
    with (
        Client(fleet, "edge-1") as other,
        socket.create_connection(("127.0.0.1", fleet.cloud.port), timeout=10) as plain,
        context.wrap_socket(plain, suppress_ragged_eofs=True) as secure,
    ):
        secure.sendall(CONNECT)
        assert secure.recv(100) == WELCOME
        secure.sendall(b"\x30" + longest)
        assert secure.recv(100) == b""
        assert other.say(f"faces/edge-1/front/{FACE}") != NOT_AUTHORIZED


@pytest.mark.parametrize(
    "topics", [["#"], ["+/#"], ["faces/#", "status/#", "receipts/#", "$SYS/#"], ["+/+/+"]]
)
def test_a_device_hears_nothing_but_its_own(fleet: Fleet, topics: list[str]) -> None:
    with (
        Client(fleet, PROCESSOR) as processor,
        Client(fleet, "edge-1", *topics) as device,
        Client(fleet, "edge-2", "receipts/edge-2/#") as other,
    ):
        other.say(f"faces/edge-2/front/{FACE}")
        other.say("status/edge-2/front")
        device.say("status/edge-1/front")
        assert NOT_AUTHORIZED not in [
            processor.say(f"receipts/{name}/front") for name in ("edge-2", "edge-1")
        ]
        await_true(lambda: other.heard == ["receipts/edge-2/front"], "the other hears its own")
        await_true(lambda: device.heard, "and so does the device, which came after it")
        assert device.heard == ["receipts/edge-1/front"]


def test_what_is_retained_of_another_is_not_told(fleet: Fleet) -> None:
    with Client(fleet, "edge-2") as other:
        other.say("status/edge-2/front", retain=True)
    with (
        Client(fleet, "edge-1", "status/#") as device,
        Client(fleet, OPERATOR, "status/#") as operator,
        Client(fleet, PROCESSOR) as processor,
    ):
        await_true(lambda: "status/edge-2/front" in operator.heard, "the operator is told")
        processor.say("receipts/hello")
        assert device.heard == []


@pytest.mark.parametrize(
    ("who", "topic"),
    [
        (PROCESSOR, "other/edge-1"),
        (PROCESSOR, "$SYS/broker/uptime"),
        (GALLERY, f"faces/edge-1/front/{FACE}"),
        (GALLERY, "stored/edge-1/front"),
        (GALLERY, "receipts/edge-1/front"),
        ("edge-1", "stored/edge-1/front"),
        (OPERATOR, f"faces/edge-1/front/{FACE}"),
        (OPERATOR, "status/edge-1"),
        (OPERATOR, "receipts/edge-1/front"),
    ],
)
def test_the_others_say_no_more_than_they_need(fleet: Fleet, who: str, topic: str) -> None:
    with Client(fleet, who) as client:
        assert client.say(topic) == NOT_AUTHORIZED


def test_the_operator_sees_no_face(fleet: Fleet) -> None:
    with (
        Client(fleet, OPERATOR, "#", "status/#") as operator,
        Client(fleet, "edge-1") as device,
    ):
        device.say(f"faces/edge-1/front/{FACE}")
        device.say("status/edge-1/front")
        await_true(lambda: operator.heard, "the operator hears the status, which came after")
        assert not [topic for topic in operator.heard if not topic.startswith("status/")]


def test_the_gallery_hears_what_was_stored_and_nothing_else(fleet: Fleet) -> None:
    with (
        Client(fleet, GALLERY, "#", "faces/#", "receipts/#", "status/#", "stored/#") as gallery,
        Client(fleet, PROCESSOR) as processor,
        Client(fleet, "edge-1") as device,
    ):
        device.say(f"faces/edge-1/front/{FACE}")
        device.say("status/edge-1/front")
        processor.say("receipts/edge-1/front")
        assert processor.say("stored/edge-1/front") != NOT_AUTHORIZED
        await_true(lambda: gallery.heard, "the gallery hears what came last")
        assert set(gallery.heard) == {"stored/edge-1/front"}


# -- a whole fleet -----------------------------------------------------------------------------


class Pipeline:
    """Two devices that deliver over TLS."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.authority = Authority("ours")
        self.cloud = Cloud(rig, self.authority)
        self.serials: dict[str, int] = {}
        _, self.endpoint = rig.moto()
        rig.service(
            "processor",
            broker=self.cloud.url,
            tls=self.issue(PROCESSOR),
            bucket=BUCKET,
            AWS_ENDPOINT_URL=self.endpoint,
        )
        self.devices = {name: self._device(name) for name in ("edge-1", "edge-2")}

    def issue(self, name: str, authority: Authority | None = None) -> Path:
        folder = self.rig.folder / name
        self.serials[name] = (authority or self.authority).issue(folder, name)
        return folder

    def _device(self, name: str) -> tuple[Process, str, str]:
        _, edge = self.rig.mosquitto(f"broker-{name}")
        forwarder, url = self.rig.service(
            "forwarder",
            instance=f"-{name}",
            device=name,
            edge_broker=f"mqtt://127.0.0.1:{edge}",
            cloud_broker=self.cloud.url,
            tls=self.issue(name),
        )
        return forwarder, url, f"mqtt://127.0.0.1:{edge}"

    def delivers(self, name: str, timeout: float = 30) -> bool:
        _, url, broker = self.devices[name]
        result = facefleet(
            "verify",
            f"--timeout={timeout}",
            DEVICE=name,
            BROKER=broker,
            FORWARDER=url.removeprefix("http://"),
        )
        return result.returncode == 0


@pytest.fixture
def pipeline(rig: Rig) -> Pipeline:
    return Pipeline(rig)


def test_a_good_device_delivers_through_all_of_it(pipeline: Pipeline) -> None:
    assert pipeline.delivers("edge-1")
    (key,) = keys(pipeline.endpoint)
    assert key.startswith("faces/edge-1/probe/")
    forwarder, *_ = pipeline.devices["edge-1"]
    forwarder.stop()
    # The goodbye goes through TLS too.
    log = pipeline.cloud.process.log
    await_true(lambda: "Client edge-1 disconnected." in log.read_text(), "a goodbye")
    assert "Traceback" not in forwarder.log.read_text()


def test_a_revoked_device_is_out_and_no_other_notices(pipeline: Pipeline) -> None:
    cloud = pipeline.cloud
    assert pipeline.delivers("edge-2")
    (cloud.folder / "crl.pem").write_bytes(pipeline.authority.revoke(pipeline.serials["edge-2"]))
    cloud.deny("edge-2")
    cloud.reread()
    # Also by the connection that it has.
    await_true(lambda: not pipeline.delivers("edge-2", 2), "it delivers no more")
    assert pipeline.delivers("edge-1")
    assert [cloud.connections(name) for name in pipeline.devices] == [1, 1]

    forwarder, url, _ = pipeline.devices["edge-2"]
    forwarder.kill()
    forwarder.start()
    await_true(lambda: "refuses this certificate" in unmet(url), "it does not get in any more")
    assert "certificate revoked" in unmet(url)
    assert cloud.connections("edge-2") == 1


def test_a_renewed_certificate_is_taken_up_without_a_restart(pipeline: Pipeline) -> None:
    forwarder, url, _ = pipeline.devices["edge-1"]
    pipeline.authority.issue(pipeline.rig.folder / "edge-1", "edge-1", days=-1)
    assert ready(url)  # a connection that is up stays
    pipeline.cloud.process.kill()
    pipeline.cloud.process.start()
    await_true(lambda: "certificate expired" in unmet(url), "it has ended")
    pipeline.issue("edge-1")
    await_true(lambda: ready(url), "the renewed one is used")
    assert forwarder.running()


def test_the_authority_is_rotated_without_an_outage(pipeline: Pipeline, tmp_path: Path) -> None:
    cloud, old, new = pipeline.cloud, pipeline.authority, Authority("next")
    old.issue(tmp_path / "former", "edge-1")
    folders = [cloud.folder, *(pipeline.rig.folder / name for name in pipeline.serials)]

    def trust(*authorities: Authority) -> None:
        for folder in folders:
            (folder / "ca.crt").write_bytes(b"".join(one.pem for one in authorities))
        (cloud.folder / "crl.pem").write_bytes(b"".join(one.revoke() for one in authorities))
        cloud.reread()

    trust(old, new)
    assert pipeline.delivers("edge-1")
    for name in pipeline.serials:
        pipeline.issue(name, new)
    new.issue(cloud.folder, "broker.facefleet", usage="server")
    trust(old, new)
    assert pipeline.delivers("edge-1")
    trust(new)
    assert all(pipeline.delivers(name) for name in pipeline.devices)
    assert [cloud.connections(name) for name in pipeline.devices] == [1, 1]

    # Whoever connects anew does so by the new one, and only by it.
    for name, (forwarder, url, _) in pipeline.devices.items():
        forwarder.kill()
        forwarder.start()
        await_true(lambda url=url: ready(url), f"{name} is back")
        assert pipeline.delivers(name)
    with pytest.raises(ssl.SSLError) as error:
        answer(cloud.port, tmp_path / "former", ssl.TLSVersion.TLSv1_2)
    assert "unknown ca" in said(error.value)
