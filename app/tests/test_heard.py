"""The statuses that a processor has heard, and when."""

import json

import pytest
from facefleet import heard
from facefleet.heard import Heard

TOPIC = "status/edge-1"


def told(board: Heard) -> dict:
    return json.loads(board.encode(99.0))["statuses"]


def test_a_status_has_the_times_of_its_first_and_last_hearing() -> None:
    board = Heard(1.0)
    for now, payload in ((5.0, b"link up"), (6.0, b"link down"), (7.0, b"link down")):
        board.hear(TOPIC, payload, now, retained=False)
    assert json.loads(board.encode(9.0)) == {
        "now": 9.0,
        "started": 1.0,
        "statuses": {TOPIC: {"payload": "link down", "heard": 7.0, "since": 6.0}},
    }


def test_what_a_broker_retained_is_of_an_unknown_time() -> None:
    board = Heard(1.0)
    board.hear(TOPIC, b"link up", 5.0, retained=True)
    assert told(board)[TOPIC] == {"payload": "link up", "heard": None, "since": None}
    board.hear(TOPIC, b"link up", 6.0, retained=False)
    assert told(board)[TOPIC] == {"payload": "link up", "heard": 6.0, "since": None}


def test_a_broker_that_repeats_a_status_does_not_change_its_time() -> None:
    board = Heard(1.0)
    board.hear(TOPIC, b"link down", 5.0, retained=False)
    board.hear(TOPIC, b"link down", 50.0, retained=True)
    assert told(board)[TOPIC] == {"payload": "link down", "heard": 5.0, "since": 5.0}
    board.hear(TOPIC, b"link up", 60.0, retained=True)  # said while this did not listen
    assert told(board)[TOPIC] == {"payload": "link up", "heard": None, "since": None}


def test_what_is_cleared_or_forgotten_is_gone() -> None:
    board = Heard(1.0)
    for topic in (TOPIC, "status/edge-2"):
        board.hear(topic, b"link up", 5.0, retained=False)
    board.hear(TOPIC, b"", 6.0, retained=False)
    board.forget("status/edge-2")
    board.forget("status/edge-3")
    assert told(board) == {}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "MAX_HELD", 100)
    board = Heard(1.0)
    for n in range(50):
        board.hear(f"status/edge-{n}", b"x" * 30, float(n), retained=False)
        board.hear("status/edge-0", b"y" * 30, float(n), retained=False)
    assert list(told(board)) == ["status/edge-48", "status/edge-49", "status/edge-0"]


def test_what_is_not_text_does_no_harm() -> None:
    board = Heard(1.0)
    board.hear(TOPIC, b"\xff\x00\x1b", 5.0, retained=False)
    assert told(board)[TOPIC]["payload"] == "\ufffd\x00\x1b"
