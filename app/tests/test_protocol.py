"""A face's name, its key and its topic say the same; a receipt survives the wire."""

import json
import re
from datetime import UTC, datetime

import pytest
from facefleet.protocol import FaceName, Receipt, content_tag, is_label
from hypothesis import given
from hypothesis import strategies as st

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
hex8 = st.from_regex(r"[0-9a-f]{8}", fullmatch=True)
seqs = st.integers(1, 10**18 - 1)
face_names = st.builds(
    FaceName,
    labels,
    labels,
    st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1000),
    hex8,
    seqs,
    hex8,
)
TOPIC = "faces/edge-1/front/2026/02/28/235959-000001-0123abcd-7-89abcdef"
KEY = "faces/edge-1/front/2026/02/28/235959.000001-0123abcd-7-89abcdef.jpg"


@given(face_names)
def test_a_name_is_read_back_from_its_key_and_its_topic(name: FaceName) -> None:
    assert FaceName.parse(str(name)) == name
    assert FaceName.of_topic(name.topic) == name
    assert FaceName.of_topic(str(name)) == name  # as devices of version 0.1 say it
    assert FaceName.parse(name.topic) is None


@given(face_names)
def test_a_topic_survives_a_broker_that_keeps_dots_for_itself(name: FaceName) -> None:
    assert re.fullmatch(r"[a-z0-9/-]+", name.topic, re.ASCII)
    assert len(name.topic) < len(str(name)) <= 200


@given(st.text() | st.from_regex(r"faces/.*") | st.text().map(lambda tail: KEY + tail))
def test_what_parses_is_spelled_as_it_was(text: str) -> None:
    name = FaceName.parse(text)
    assert name is None or str(name) == text
    name = FaceName.of_topic(text)
    assert name is None or text in (str(name), name.topic)


def test_key_and_topic_say_all() -> None:
    name = FaceName(
        "edge-1", "front", datetime(2026, 2, 28, 23, 59, 59, 1, UTC), "0123abcd", 7, "89abcdef"
    )
    assert (str(name), name.topic) == (KEY, TOPIC)
    assert FaceName.parse(KEY) == FaceName.of_topic(TOPIC) == name


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("/02/28/", "/02/31/"),
        ("/02/28/", "/13/01/"),
        ("235959", "246000"),
        ("2026/", "0999/"),
        ("2026/", "202\u0666/"),
        ("/02/28/", "/0\u0662/28/"),
        ("235959", "23595\u0669"),
        ("-7-", "-7\u0667-"),
        ("edge-1", "Edge-1"),
        ("edge-1", "edge_1"),
        ("edge-1", "édge"),
        ("edge-1", "-edge"),
        ("edge-1", "edge-"),
        ("edge-1", ".."),
        ("edge-1", "../../quarantine"),
        ("edge-1", ""),
        ("edge-1", "e" * 64),
        ("front", "front/more"),
        ("front/", ""),
        ("front", "f" * 64),
        ("faces/", "/faces/"),
        ("faces/", "faces//"),
        ("faces/", "receipts/"),
        ("0123abcd", "0123ABCD"),
        ("0123abcd", "0123abc"),
        ("-7-", "-0-"),
        ("-7-", "-07-"),
        ("-7-", "--7-"),
        ("-7-", f"-{10**18}-"),
        ("89abcdef", "89abcdeg"),
        (".jpg", ".jpeg"),
        (".jpg", ".jpg\n"),
        (".jpg", ".jpg/"),
        ("000001", "1"),
    ],
)
def test_a_malformed_key_or_topic_is_nobodys_name(there: str, instead: str) -> None:
    assert there in KEY
    assert FaceName.parse(KEY.replace(there, instead, 1)) is None
    malformed = TOPIC.replace(there, instead, 1) if there in TOPIC else TOPIC + instead
    assert FaceName.of_topic(malformed) is None


@pytest.mark.parametrize(
    "mixture",
    [TOPIC + ".jpg", KEY.removesuffix(".jpg"), TOPIC.replace("235959-", "235959/"), TOPIC + "\n"],
)
def test_half_a_key_is_no_topic(mixture: str) -> None:
    assert FaceName.of_topic(mixture) is None


def test_a_tag_is_of_the_content() -> None:
    assert content_tag(b"abc") == "ba7816bf"  # as FIPS 180-2 has it
    assert content_tag(b"abd") != content_tag(b"abc")


@pytest.mark.parametrize("text", ["a", "0", "edge-1", "a" * 63])
def test_a_label(text: str) -> None:
    assert is_label(text)


@pytest.mark.parametrize("text", ["", "a" * 64, "a\n", "A", "a_b", "-a", "a-", "a.b", "a/b", "é"])
def test_not_a_label(text: str) -> None:
    assert not is_label(text)


reasons = st.text(st.characters(exclude_categories=["Cs"]))
with_reason = st.lists(st.tuples(seqs, hex8, reasons))


@given(
    st.builds(
        Receipt,
        hex8,
        st.none() | st.dates(),
        st.lists(st.tuples(seqs, hex8)),
        with_reason,
        with_reason,
    )
)
def test_a_receipt_survives_the_wire(receipt: Receipt) -> None:
    assert Receipt.decode(receipt.encode()) == receipt


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
verdicts = st.fixed_dictionaries(
    {"epoch": json_values},
    optional=dict.fromkeys(("stored", "quarantined", "refused"), json_values),
)


@given(st.binary() | (json_values | verdicts).map(lambda body: json.dumps(body).encode()))
def test_anything_else_is_no_receipt_or_a_whole_one(payload: bytes) -> None:
    receipt = Receipt.decode(payload)
    assert receipt is None or Receipt.decode(receipt.encode()) == receipt


@pytest.mark.parametrize(
    "row",
    [
        '[1e999, "89abcdef"]',
        '[18446744073709551616, "89abcdef"]',
        '[0, "89abcdef"]',
        '[-1, "89abcdef"]',
        '[true, "89abcdef"]',
        '["1", "89abcdef"]',
        '[1, "\\ud800"]',
        '[1, "89ABCDEF"]',
        "[1, 1]",
        "[1]",
        '[1, "89abcdef", ""]',
        "[" * 100_000,
    ],
)
def test_a_receipt_of_what_no_outbox_holds_is_none(row: str) -> None:
    assert Receipt.decode(f'{{"epoch": "01234567", "stored": [{row}]}}'.encode()) is None


def test_a_reason_that_is_not_text_does_no_harm() -> None:
    receipt = Receipt.decode(b'{"epoch": "e", "refused": [[1, "89abcdef", "\\ud800"]]}')
    assert receipt is not None
    assert receipt.refused == [(1, "89abcdef", "?")]
