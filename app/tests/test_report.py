"""What a device reports of itself, as it is written, read and compared."""

import json

import pytest
from facefleet.quotas import CAMERAS, Statuses
from facefleet.report import (
    REPORT_EVERY,
    Clock,
    Report,
    device_of_report,
    report_topic,
    time_answer,
    time_topic,
)

FULL = Report(
    at=1_795_766_400,
    up=86_400,
    memory=1234,
    temperature=51,
    certificate=1_827_302_400,
    clock=-0.123,
    bound=0.25,
    content="0123456789abcdef",
    k3s="v1.36.3+k3s1",
    configuration="0123456789ab",
    applied="2026-11-27T09:00:00Z",
    ask="0a1b",
)
TOPIC = report_topic("edge-1")
STATUS = 14e6  # bytes a month of an idle device without a report: docs/measurements.md
PACKET = 52 + 29  # bytes of IP, TCP and TLS for a message
ACKNOWLEDGEMENT = 52


def test_a_report_survives_its_way() -> None:
    assert Report.decode(FULL.encode()) == FULL
    assert Report.decode(Report(at=5).encode()) == Report(at=5)


@pytest.mark.parametrize("payload", [b"", b"link up", b"[]", b"5", b"\xff", b"[" * 4000])
def test_what_is_no_report_is_not_read(payload: bytes) -> None:
    assert Report.decode(payload) is None


def test_a_report_that_is_too_long_is_not_read() -> None:
    assert Report.decode(json.dumps({"at": 5, "more": "x" * 4096})) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("at", -1),
        ("at", 1e400),
        ("up", 1.5),
        ("memory", True),
        ("memory", 10**400),
        ("temperature", 201),
        ("certificate", "soon"),
        ("clock", float("nan")),
        ("clock", 10**12),
        ("bound", -0.1),
        ("content", "\x1b[2J"),
        ("content", "x" * 65),
        ("content", ""),
        ("k3s", ["v1"]),
        ("configuration", "a b"),
        ("applied", "\u0662"),
        ("ask", "0A1B"),
        ("ask", 4),
    ],
)
def test_a_value_that_is_invalid_is_unknown(name: str, value: object) -> None:
    read = Report.decode(json.dumps({**json.loads(FULL.encode()), name: value}))
    assert getattr(read, name) is None
    assert [other for other in Report.__slots__ if getattr(read, other) is None] == [name]


@pytest.mark.parametrize(
    ("change", "is_news"),
    [
        ({"content": "f" * 12}, True),
        ({"k3s": None}, True),
        ({"configuration": "b" * 12}, True),
        ({"applied": "2026-11-28T09:00:00Z"}, True),
        ({"certificate": 1_900_000_000}, True),
        ({"temperature": 60}, False),
        ({"temperature": 61}, True),
        ({"temperature": None}, False),
        ({"clock": 4.8}, False),
        ({"clock": 4.9}, True),
        ({"clock": None}, False),
        ({"at": 1, "up": 2, "memory": 3, "bound": 4.0, "ask": "ffff"}, False),
    ],
)
def test_only_what_matters_is_news(change: dict, is_news: bool) -> None:
    now = Report(**{name: getattr(FULL, name) for name in Report.__slots__} | change)
    assert now.is_news(FULL) is is_news


def test_a_clock_that_becomes_known_is_news() -> None:
    assert Report(clock=0.0).is_news(Report())


def test_an_idle_device_stays_under_20_mb_a_month() -> None:
    """With its report, the answer to it, and the values that a camera's status has beside it."""
    answer_topic, answer = time_answer(TOPIC, FULL.encode(), 1_795_766_400.123)
    report = PACKET + len(TOPIC) + len(FULL.encode()) + PACKET + ACKNOWLEDGEMENT
    answered = PACKET + len(answer_topic) + len(answer) + ACKNOWLEDGEMENT
    month = 30 * 86_400
    reports = (report + answered) * month / REPORT_EVERY
    camera = len(',"disk":12345678') * month / 60
    assert reports + camera < 3e6
    assert STATUS + reports + camera < 20e6


@pytest.mark.parametrize(
    ("topic", "device"),
    [
        (TOPIC, "edge-1"),
        ("status/edge-1", None),
        ("status/edge-1/front", None),
        ("status/Edge/_device", None),
        ("status/edge-1/_device/more", None),
        ("faces/edge-1/_device", None),
    ],
)
def test_a_report_is_told_by_its_topic(topic: str, device: str | None) -> None:
    assert device_of_report(topic) == device


def test_a_report_stays_retained_beside_all_cameras() -> None:
    statuses = Statuses()
    topics = [TOPIC, "status/edge-1", *(f"status/edge-1/c{n}" for n in range(CAMERAS))]
    assert [statuses.excess(topic, 300) for topic in topics] == [[]] * len(topics)
    assert statuses.excess("status/edge-1/more", 300) == [TOPIC]
    assert statuses.excess("status/edge-1/_other", 300) == ["status/edge-1/_other"]


class World:
    """A device's clock, the cloud's, and the time between."""

    def __init__(self, ahead: float) -> None:
        self.ahead, self.now = ahead, 1000.0
        self.clock = Clock()

    def ask(self, up: float, down: float) -> bytes:
        """The answer to a report, which took these seconds on its way."""
        self.clock.asked("0a1b", self.now + self.ahead, self.now)
        self.now += up
        _, answer = time_answer(TOPIC, Report(ask="0a1b").encode(), self.now)
        self.now += down
        return answer


@pytest.mark.parametrize("ahead", [0.0, 0.4, -7.0, 3e7])
@pytest.mark.parametrize(("up", "down"), [(0.01, 0.01), (0.3, 0.3), (2.0, 0.0), (0.0, 2.0)])
def test_the_offset_of_the_clock_is_within_its_bound(ahead: float, up: float, down: float) -> None:
    world = World(ahead)
    assert world.clock.answered(world.ask(up, down), world.now)
    assert abs(world.clock.offset - ahead) <= world.clock.bound
    assert world.clock.bound <= (up + down) / 2 + 0.0021


def test_an_answer_counts_once_and_to_the_last_report_only() -> None:
    world = World(1.0)
    early = world.ask(0.1, 0.1)
    world.clock.asked("ffff", world.now, world.now)
    assert not world.clock.answered(early, world.now)
    answer = world.ask(0.1, 0.1)
    assert world.clock.answered(answer, world.now)
    assert not world.clock.answered(answer, world.now)


def test_an_answer_that_took_a_minute_is_of_no_use() -> None:
    world = World(0.0)
    assert not world.clock.answered(world.ask(30.0, 31.0), world.now)
    assert world.clock.offset is None


@pytest.mark.parametrize("time", ["now", None, -1, float("inf"), [1], True])
def test_an_answer_without_a_time_is_passed_over(time: object) -> None:
    clock = Clock()
    clock.asked("0a1b", 0.0, 0.0)
    assert not clock.answered(json.dumps({"ask": "0a1b", "time": time}).encode(), 0.1)
    assert not clock.answered(b"\xff", 0.1)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("status/edge-1/front", FULL.encode()),
        (TOPIC, Report(at=5).encode()),
        (TOPIC, b'{"ask": "../"}'),
        (TOPIC, b"link up"),
        (TOPIC, b""),
    ],
)
def test_only_a_report_that_asks_is_answered(topic: str, payload: bytes) -> None:
    assert time_answer(topic, payload, 5.0) is None
    assert time_answer(TOPIC, FULL.encode(), 5.0)[0] == time_topic("edge-1")
