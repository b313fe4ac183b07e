"""News of stored faces on the wire."""

import json
from datetime import UTC, datetime

import pytest
from facefleet.news import decode, encode, stored_topic
from facefleet.protocol import FaceName
from hypothesis import given
from hypothesis import strategies as st

TOPIC = stored_topic("edge-1", "front")
FACES = [
    FaceName(
        "edge-1",
        "front",
        datetime(year, 12, 31, 23, 59, 59, 999_999, UTC),
        "0a1b2c3d",
        seq,
        "f" * 8,
    )
    for seq, year in enumerate((1000, 2026, 9999), start=1)
]
KEYS = [str(face) for face in FACES]


def test_what_is_said_is_heard() -> None:
    assert decode(TOPIC, encode("edge-1", "front", KEYS)) == FACES
    assert decode(TOPIC, encode("edge-1", "front", [])) == []


def test_a_topic_needs_no_careful_broker() -> None:
    assert set("#+.") & set(TOPIC) == set()


GOOD = json.loads(encode("edge-1", "front", KEYS[1:2]))[0]


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"null", b"{}", b"7", b'"x"', b"[7, null, {}, []]", b"\xff", b"[" * 100_000),
        json.dumps(["../" + GOOD, "/" + GOOD, GOOD + "x", GOOD.replace("12/31", "02/31")]).encode(),
        json.dumps([GOOD] * 2000).encode(),
    ],
)
def test_what_is_no_news_says_nothing(payload: bytes) -> None:
    assert decode(TOPIC, payload) == []


@pytest.mark.parametrize(
    "topic",
    ["stored", "stored/edge-1", "stored/edge-1/front/x", "status/edge-1/front", "stored/<b>/x"],
)
def test_it_comes_under_its_own_topics_alone(topic: str) -> None:
    assert decode(topic, encode("edge-1", "front", KEYS)) == []


@given(st.text(), st.binary())
def test_anything_may_come(topic: str, payload: bytes) -> None:
    assert decode(topic, payload) == []
