"""What one device may take of what all share."""

from datetime import UTC, datetime

import pytest
from facefleet.protocol import FaceName
from facefleet.quotas import CAMERAS, MAX_STATUS_BYTES, Cameras, Memory, Statuses


def fill(memory: Memory, device: str, size: int = 1) -> int:
    taken = 0
    while memory.take(device, size):
        taken += size
    return taken


def test_one_device_gets_half_and_two_a_third_each() -> None:
    memory = Memory(600)
    assert fill(memory, "edge-1") == 300
    assert fill(memory, "edge-2") == 150
    assert memory.held == 450
    while not memory.take("edge-3", 100):  # what the others release is shared anew
        memory.release("edge-1", 10)
    assert fill(memory, "edge-1") == 0


def test_there_is_room_for_a_newcomer_whoever_is_greedy() -> None:
    memory = Memory(1000)
    for n in range(20):
        fill(memory, f"edge-{n}", 7)
    assert memory.held <= 1000
    assert memory.take("newcomer", 0)
    memory.release("edge-0", 7)
    assert memory.take("newcomer", 7)


def test_what_is_released_can_be_taken_again() -> None:
    memory = Memory(10)
    for _ in range(100):
        assert memory.take("edge-1", 5)
        memory.release("edge-1", 5)
    assert memory.held == 0


def face(device: str, camera: str) -> FaceName:
    return FaceName(device, camera, datetime(2026, 2, 28, tzinfo=UTC), "0123abcd", 1, "89abcdef")


def test_the_first_cameras_of_a_device_stay() -> None:
    cameras = Cameras()
    assert all(cameras.takes(face("edge-2", f"c{n}")) for n in range(CAMERAS))
    assert not cameras.takes(face("edge-2", "one-more"))
    assert cameras.takes(face("edge-2", "c0"))
    assert cameras.takes(face("edge-1", "front"))


@pytest.mark.parametrize("topic", ["status/edge-1", "status/edge-1/front"])
def test_a_small_status_is_kept(topic: str) -> None:
    assert Statuses().excess(topic, MAX_STATUS_BYTES) == []
    assert Statuses().excess(topic, MAX_STATUS_BYTES + 1) == [topic]


@pytest.mark.parametrize(
    "topic",
    ["status", "status/", "status/edge-1/", "status/edge-1/front/more", "status/Edge", "status//x"],
)
def test_a_malformed_topic_is_cleared_once(topic: str) -> None:
    statuses = Statuses()
    assert statuses.excess(topic, 1) == [topic]
    assert statuses.excess(topic, 0) == []  # what clearing it comes back as


def test_the_oldest_status_of_a_device_makes_room() -> None:
    statuses = Statuses()
    assert statuses.excess("status/edge-1/front", 9) == []
    topics = [f"status/edge-2/c{n}" for n in range(CAMERAS + 2)]
    assert [statuses.excess(topic, 9) for topic in topics] == [[]] * len(topics)
    statuses.excess(topics[0], 9)
    assert statuses.excess("status/edge-2/new", 9) == [topics[1]]
