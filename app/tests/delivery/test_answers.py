"""A sender says when nothing comes of what it sends, and does not take an outage for a fault."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from facefleet.delivery import answers, sender
from facefleet.delivery.answers import ANSWER_TIMEOUT, MAX_UNSTORED, Answers
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health
from facefleet.protocol import FaceName, Receipt
from pydantic import AnyUrl
from structlog.testing import capture_logs

from support.listener import Listener
from support.rig import Rig, await_true


def test_silence_is_told_after_a_while_and_ends_with_an_answer() -> None:
    found = Answers()
    assert found.silence_problem(1e6) is None  # nothing was sent
    found.sent(10)
    found.sent(10 + ANSWER_TIMEOUT)
    assert found.silence_problem(10 + ANSWER_TIMEOUT) is None
    assert found.silence_problem(11 + ANSWER_TIMEOUT).startswith(
        "no face has been confirmed for 60 s"
    )
    found.not_stored("too dark", 100)
    assert found.silence_problem(1e6) is None
    found.sent(200)
    found.nothing_sent()
    assert found.silence_problem(1e6) is None


def test_answers_that_store_nothing_are_told_while_they_come() -> None:
    found = Answers()
    for _ in range(MAX_UNSTORED - 1):
        found.not_stored("no JPEG", 10)
    assert found.unstored_problem(10) is None
    found.not_stored("no room", 11)
    assert found.unstored_problem(11).startswith("none of the last 16 faces was stored (no room)")
    assert found.unstored_problem(11 + ANSWER_TIMEOUT) is not None
    assert found.unstored_problem(12 + ANSWER_TIMEOUT) is None
    found.not_stored("no room", 200)
    assert found.unstored_problem(200).startswith("none of the last 17 ")
    found.stored(200)
    found.not_stored("no room", 200)
    assert found.unstored_problem(200) is None


class Device:
    """A sender, and a far end that is played by hand."""

    def __init__(self, rig: Rig, listener: Listener, port: int) -> None:
        self.outbox = Outbox(rig.folder / "outbox.sqlite", "edge-1", "front", 1 << 20)
        self.listener = listener
        self.health = Health()
        self.sender = Sender(self.outbox, AnyUrl(f"mqtt://127.0.0.1:{port}"), 1, 64, self.health)
        self.sender.start()

    def send(self, count: int) -> list[FaceName]:
        first = self.outbox.counts.captured + 1
        for number in range(count):
            self.sender.put(datetime.now(UTC), b"%d" % (first + number), None)
        wanted = set(range(first, first + count))
        await_true(lambda: wanted <= {name.seq for name in self.heard()}, "faces are sent")
        return list({name.seq: name for name in self.heard() if name.seq in wanted}.values())

    def heard(self) -> list[FaceName]:
        named = [FaceName.of_topic(topic) for topic, *_ in list(self.listener.heard)]
        return [name for name in named if name]

    def answer(self, **verdict: list) -> None:
        self.listener.say("receipts/edge-1/front", Receipt(self.outbox.epoch, **verdict).encode())

    @property
    def problem(self) -> str:
        return self.health.unmet.get("delivery", "")


@pytest.fixture
def device(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    monkeypatch.setattr(sender, "CHECK_EVERY", 0.05)
    monkeypatch.setattr(sender, "LAST_RECEIPTS", 0)
    _, port = rig.mosquitto("broker")
    with Listener(port, "faces/#") as listener:
        device = Device(rig, listener, port)
        yield device
        device.sender.stop()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda seconds: monkeypatch.setattr(answers, "ANSWER_TIMEOUT", seconds)


def test_a_way_that_never_carried_a_face_is_not_ready_and_an_outage_is(
    device: Device, patience: Callable
) -> None:
    patience(0.3)
    (face,) = device.send(1)
    await_true(lambda: "no face has been confirmed" in device.problem, "the silence is told")
    device.answer(stored=[(face.seq, face.tag)])
    await_true(lambda: not device.problem, "it is ready again")
    with capture_logs() as logs:
        device.send(1)
        await_true(
            lambda: any("no face has been" in line.get("problem", "") for line in logs),
            "the outage is logged",
        )
    assert not device.problem


def test_faces_that_are_answered_and_not_stored_are_told(device: Device) -> None:
    for _ in range(MAX_UNSTORED):
        assert not device.problem
        (face,) = device.send(1)
        device.answer(quarantined=[(face.seq, face.tag, "no JPEG")])
    await_true(lambda: "(no JPEG)" in device.problem, "it is not ready")
    (face,) = device.send(1)
    device.answer(stored=[(face.seq, face.tag)])
    await_true(lambda: not device.problem, "it is ready again")


class Toggle:
    """Hours that begin and end as the test wants."""

    now = True

    def active(self, _at: datetime) -> bool:
        return self.now


def test_outside_of_its_hours_a_sender_keeps_its_faces_and_says_so(
    device: Device, patience: Callable
) -> None:
    patience(0)  # seconds; a face that is not answered within its hours is a problem
    device.sender._hours = hours = Toggle()
    device.send(1)
    await_true(lambda: device.problem, "the silence is told")
    hours.now = False
    await_true(lambda: not device.problem, "a pause is not")
    device.sender.put(datetime.now(UTC), b"kept", None)
    await_true(lambda: device.outbox.counts.captured == 2, "it is captured")
    assert device.sender._state()["paused"]
    for _ in range(3):  # it is not sent, however often the sender looks
        device.sender._wake_requested = False
        device.sender._wake_loop()
        await_true(lambda: not device.sender._wake_requested, "it looked")
    assert len(device.sender._window) == 1
    assert {name.seq for name in device.heard()} == {1}
    hours.now = True
    await_true(lambda: {name.seq for name in device.heard()} == {1, 2}, "it is sent")
    assert not device.sender._state()["paused"]


def test_a_delay_does_not_include_the_time_for_which_a_face_was_held_back(device: Device) -> None:
    device.sender.put(datetime.now(UTC) - timedelta(minutes=1), b"the best of its visit", None)
    await_true(lambda: device.heard(), "it is sent")
    (face,) = {name.seq: name for name in device.heard()}.values()
    device.answer(stored=[(face.seq, face.tag)])
    await_true(lambda: device.sender._state()["p50"] is not None, "it is confirmed")
    assert device.sender._state()["p50"] < 30


def test_told_to_stop_it_waits_for_the_receipts_of_what_is_on_its_way(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LAST_RECEIPTS", 60)
    faces = device.send(5)
    with ThreadPoolExecutor() as pool:
        stopped = pool.submit(device.sender.stop)
        with pytest.raises(TimeoutError):
            stopped.result(0.3)
        device.answer(stored=[(face.seq, face.tag) for face in faces])
        stopped.result(50)
    assert device.outbox.counts.pending == 0
