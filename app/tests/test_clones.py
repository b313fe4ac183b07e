"""When the statuses of a camera show that two devices report it."""

import json

import pytest
from facefleet.clones import REMEMBERED, Clone, Clones
from facefleet.quotas import CAMERAS

TOPIC = "status/edge-1/front"


def status(instance: object, epoch: object = "aaaaaaaa") -> bytes:
    return json.dumps({"state": "online", "instance": instance, "epoch": epoch}).encode()


def test_an_earlier_instance_that_reports_again_is_a_clone() -> None:
    clones = Clones()
    assert [clones.heard(TOPIC, status(name)) for name in ("a", "a", "b", "b")] == [None] * 4
    assert clones.heard(TOPIC, status("a")) == Clone("edge-1", "front", "aaaaaaaa")
    assert clones.heard(TOPIC, status("a")) is None
    assert clones.heard(TOPIC, status("b", "bbbbbbbb")) == Clone("edge-1", "front", "")


def test_restarts_and_new_outboxes_are_no_clones() -> None:
    clones = Clones()
    starts = [(f"{number:08x}", f"{number // 3:08x}") for number in range(3 * REMEMBERED)]
    for instance, epoch in starts:
        assert clones.heard(TOPIC, status(instance, epoch)) is None
        assert clones.heard(TOPIC, b'{"state": "offline"}') is None
    assert clones.heard("status/edge-1/back", status(starts[-2][0])) is None
    assert clones.heard("status/edge-2/front", status(starts[-2][0])) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"link up",
        b"[]",
        b"7",
        b"{",
        b"[" * 4000,
        b'{"state": "online", "epoch": "aaaaaaaa"}',  # of an older version
        status(7),
        status("a", None),
        status("", "aaaaaaaa"),
        status("a" * 65),
    ],
)
def test_a_status_without_an_instance_says_nothing(payload: bytes) -> None:
    clones = Clones()
    for one in (status("a"), payload, status("b"), payload):
        assert clones.heard(TOPIC, one) is None
    assert clones.heard("status/edge-1", status("a")) is None  # the status of the link


def test_a_device_cannot_take_memory_without_end() -> None:
    clones = Clones()
    for number in range(3 * CAMERAS):
        clones.heard(f"status/edge-1/camera-{number}", status("a"))
        for instance in range(3 * REMEMBERED):
            clones.heard(TOPIC, status(str(instance)))
    assert len(clones._of["edge-1"]) == CAMERAS
    assert len(clones._of["edge-1"]["front"]) == REMEMBERED
