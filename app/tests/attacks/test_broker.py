"""What one device of the fleet can do to the others through the cloud's broker, by its certificate.

With real Mosquitto, configured as the role `facefleet` does it, and a real processor.
"""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.codec import MAX_PACKET_BYTES
from facefleet.protocol import FaceName, content_tag
from facefleet.quotas import CAMERAS, MAX_STATUS_BYTES

from support import picture
from support.attacker import WELCOME, Attacker, noise
from support.authority import Authority
from support.cloud import OPERATOR, PROCESSOR, Cloud, certificate
from support.rig import BUCKET, ROOT, Rig, await_true, ready

MIB = 1 << 20
CONFIG = (ROOT / "roles/facefleet/templates/broker/mosquitto.conf.j2").read_text()
MEMORY = int(re.search(r"^memory_limit (\d+)$", CONFIG, re.MULTILINE)[1])


class Fleet:
    """The cloud's broker and processor, and certificates for who asks."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.authority = rig, Authority("ours")
        self.cloud = Cloud(rig, self.authority)
        _, self.endpoint = rig.sink()
        self.processor, self.url = rig.service(
            "processor",
            broker=self.cloud.url,
            tls=self.folder(PROCESSOR),
            bucket=BUCKET,
            AWS_ENDPOINT_URL=self.endpoint,
        )

    def folder(self, name: str) -> Path:
        folder = self.rig.folder / name
        return folder if folder.exists() else certificate(folder, self.authority, name)

    def attacker(self, name: str = "edge-2", **options: object) -> Attacker:
        return Attacker(self.cloud.port, self.folder(name), **options)

    def retained(self, who: str, topics: str) -> list[str]:
        """The topics that somebody is told who subscribes now."""
        with self.attacker(who) as listener:
            listener.subscribe(topics)
            return listener.topics(seconds=1)

    def delivers(self, camera: str) -> None:
        """A good face is stored and confirmed; it is sent until then, as an outbox does."""
        face = picture.jpeg(camera.encode())
        name = FaceName("edge-1", camera, datetime.now(UTC), "0123abcd", 1, content_tag(face))

        def confirmed() -> bool:
            try:
                with self.attacker("edge-1") as device:
                    device.subscribe(f"receipts/edge-1/{camera}")
                    device.ping()
                    device.publish(name.topic, face)
                    device.socket.settimeout(2)
                    return b'"stored":[[1,' in device.socket.recv(4096)
            except OSError:
                return False

        await_true(confirmed, "a good face is confirmed")


@pytest.fixture
def fleet(rig: Rig) -> Fleet:
    return Fleet(rig)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Rig(tmp_path_factory.mktemp("broker")) as rig:
        yield Fleet(rig)


# -- identity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["edge-1", OPERATOR])
def test_nobody_is_cut_off_by_who_takes_its_client_id(shared: Fleet, victim: str) -> None:
    with shared.attacker(victim, client_id=victim) as one:
        for client_id in (victim, f"forwarder-{victim}"):
            with shared.attacker(client_id=client_id) as attacker:
                assert attacker.answer == WELCOME
                attacker.ping()
        assert not one.cut_off()


def test_the_processor_is_not_cut_off_either(shared: Fleet) -> None:
    log = shared.cloud.process.log
    names = re.findall(rf" as (\S+) \(.*u'{PROCESSOR}'\)", log.read_text())
    for client_id in {PROCESSOR, *names}:
        with shared.attacker(client_id=client_id) as attacker:
            assert attacker.answer == WELCOME
            attacker.ping()
    assert f"Client {PROCESSOR} already connected" not in log.read_text()
    assert ready(shared.url)


def test_who_connects_is_who_its_certificate_names(shared: Fleet) -> None:
    with shared.attacker(client_id="forwarder-edge-1"):
        pass
    connected = re.findall(r" as (\S+) \(.*u'(\S+)'\)", shared.cloud.process.log.read_text())
    assert ("edge-2", "edge-2") in connected
    assert [pair for pair in connected if pair[0] != pair[1]] == []


def test_a_will_for_another_is_not_said(shared: Fleet) -> None:
    for topic in ("status/edge-1/will", "receipts/edge-1/will", "status/edge-2/will"):
        with shared.attacker(will=topic):
            pass
    await_true(lambda: "status/edge-2/will" in shared.retained(OPERATOR, "status/#"), "its own")
    assert "status/edge-1/will" not in shared.retained(OPERATOR, "status/#")
    assert shared.retained("edge-1", "receipts/edge-1/#") == []


# -- memory ----------------------------------------------------------------------------------------


def test_the_broker_takes_no_larger_packet_than_a_client_sends() -> None:
    assert f"\nmax_packet_size {MAX_PACKET_BYTES}\n" in CONFIG


def test_a_device_retains_no_more_than_its_statuses(shared: Fleet) -> None:
    own = [f"status/edge-1{camera}" for camera in ("", "/front", "/back")]
    with shared.attacker("edge-1") as device:
        for topic in own:
            device.publish(topic, b"x" * MAX_STATUS_BYTES, retain=True)
        device.ping()
    with shared.attacker() as attacker:
        for n in range(3 * CAMERAS):
            attacker.publish(f"status/edge-2/c{n}", b"x", retain=True)
            attacker.publish(f"faces/edge-2/{n}/2026/02/28/x", noise(1000), retain=True)
            attacker.publish(f"faces/edge-2/{n}/2026/02", noise(1000), retain=True)
        attacker.publish("status/edge-2/large", b"x" * (MAX_STATUS_BYTES + 1), retain=True)
        attacker.publish("status/edge-2/Malformed", b"x", retain=True)
        attacker.ping()
    kept = {f"status/edge-2/c{n}" for n in range(2 * CAMERAS - 2, 3 * CAMERAS)} | set(own)
    await_true(
        lambda: set(shared.retained(OPERATOR, "status/#")) == kept, "the latest few are kept"
    )
    shared.processor.stop()
    await_true(lambda: shared.retained(PROCESSOR, "faces/#") == [], "no face is retained")
    shared.processor.start()
    await_true(lambda: ready(shared.url), "it is ready again")
    shared.delivers("after-retained")


def test_a_flood_of_retained_messages_ends_with_its_sender(fleet: Fleet) -> None:
    # Cut off, where the processor does not clear them as fast.
    with contextlib.suppress(OSError), fleet.attacker() as attacker:
        for n in range(2 * MEMORY // MIB):
            attacker.publish(f"faces/edge-2/{n}/2026/02/28/x", noise(MIB - 10), retain=True)
        attacker.ping()
    assert fleet.cloud.process.peak() < MEMORY + 64 * MIB
    fleet.delivers("after-the-flood")
    await_true(lambda: ready(fleet.url), "the processor is ready")


@pytest.mark.parametrize("clean", [True, False])
def test_a_flood_of_subscriptions_ends_with_its_sender(fleet: Fleet, clean: bool) -> None:
    with pytest.raises(OSError), fleet.attacker(clean=clean) as attacker:  # noqa: PT011, PT012
        for n in range(MEMORY // 30_000):
            attacker.subscribe(f"receipts/{n}/" + "x" * 60_000)
        attacker.ping()
    assert fleet.cloud.process.peak() < MEMORY + 64 * MIB
    fleet.delivers("after-subscriptions")


def test_messages_whose_handshake_is_not_finished_are_few(shared: Fleet) -> None:
    before = shared.cloud.process.peak()
    with shared.attacker() as attacker:
        for n in range(300):
            attacker.publish(f"faces/edge-2/{n}/2026/02/28/x", noise(MIB - 10), qos=2)
        attacker.ping()
        assert shared.cloud.process.peak() - before < 200 * MIB
    shared.delivers("after-unfinished")


# -- the processor ---------------------------------------------------------------------------------


def test_no_device_invents_cameras_without_end(shared: Fleet) -> None:
    with shared.attacker() as attacker:
        attacker.subscribe("receipts/edge-2/#")
        attacker.ping()
        for n in range(CAMERAS + 20):
            face = picture.jpeg(b"%d" % n)
            name = FaceName("edge-2", f"c{n}", datetime.now(UTC), "0123abcd", 1, content_tag(face))
            attacker.publish(name.topic, face)
        attacker.ping()
    log = shared.processor.log
    await_true(
        lambda: log.read_text().count(f'"reason": "edge-2 has more than {CAMERAS} cameras"') == 20,
        "the others are set aside",
    )
    shared.delivers("one-of-few")
