"""A digest survives the wire, adds up, and is refused if it is not what its name says."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from facefleet.digest import (
    LINES,
    MAX_BYTES,
    MAX_DAYS,
    MAX_RANGES,
    Ask,
    Day,
    DigestName,
    Head,
    Hour,
    Line,
    Lines,
    Sealed,
    day_name,
    decode,
    digests_prefix,
    hash_of,
    hour_prefix,
    hour_text,
    parse_hour,
    signed_content,
    split_lines,
)
from facefleet.protocol import FaceName
from hypothesis import given
from hypothesis import strategies as st

OUTBOX = "edge-1", "front", "0123abcd"
HOUR = datetime(2026, 11, 27, 7, tzinfo=UTC)
counts = st.integers(0, 10**18 - 1)
hex8 = st.from_regex(r"[0-9a-f]{8}", fullmatch=True)
hex16 = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
words = st.from_regex(r"[0-9A-Za-z._-]{1,64}", fullmatch=True)
hours = st.builds(Hour, counts, hex16, counts, counts, counts)
whole_hours = st.datetimes(timezones=st.just(UTC)).map(
    lambda at: at.replace(minute=0, second=0, microsecond=0)
)
heads = st.builds(
    Head,
    number=st.integers(0, 10**12 - 1),
    time=st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)),
    instance=words,
    machine=words,
    **dict.fromkeys(
        ("captured", "stored", "quarantined", "pending", "evicted", "dead", "dropped", "pruned"),
        counts,
    ),
    gone=st.lists(st.tuples(counts, counts), max_size=MAX_RANGES),
    days=st.dictionaries(st.dates(), hex16, max_size=40),
    days_omitted=counts,
)
HEAD = Head(
    number=1795765200,
    time=datetime(2026, 11, 27, 7, 40, tzinfo=UTC),
    instance="5f0c",
    machine="9a1b",
    captured=20,
    stored=10,
    quarantined=1,
    pending=4,
    evicted=2,
    dead=1,
    dropped=2,
    pruned=5,
    gone=[(3, 4), (9, 10)],
    days={date(2026, 11, 27): "0123456789abcdef"},
)


@given(heads)
def test_a_head_is_read_back(head: Head) -> None:
    assert decode(head.name(*OUTBOX), head.encode()) == head


@given(st.builds(Day, st.dates(), st.dictionaries(st.integers(0, 23), hours, max_size=24)))
def test_a_day_is_read_back(day: Day) -> None:
    payload = day.encode()
    assert decode(day_name(*OUTBOX, day.day, payload), payload) == day


@given(
    whole_hours,
    st.dictionaries(st.integers(1, 2000), st.tuples(hex8, st.sampled_from("psqd")), max_size=60),
    st.integers(1, 7),
)
def test_the_lines_of_an_hour_are_read_back_from_their_parts(
    hour: datetime, faces: dict, most: int
) -> None:
    lines = [Line(seq, *face) for seq, face in sorted(faces.items())]
    parts = [
        decode(part.name(*OUTBOX), part.encode()) for part in split_lines(hour, 7, lines, most)
    ]
    assert [line for part in parts for line in part.lines] == lines
    assert [(part.part, part.parts, part.number, part.hour) for part in parts] == [
        (index, len(parts), 7, hour) for index in range(max(1, -(-len(lines) // most)))
    ]


@given(
    st.lists(whole_hours, max_size=64),
    st.lists(st.dates(), max_size=64),
)
def test_a_question_is_read_back(asked: list[datetime], days: list[date]) -> None:
    assert Ask.decode(Ask(asked, days).encode()) == Ask(asked, days)


def test_an_empty_question_asks_for_a_head() -> None:
    assert Ask.decode(b"") == Ask()


def test_no_message_is_too_large_to_be_read() -> None:
    """The largest of each kind, with the longest numbers and the most gaps."""
    most = 10**18 - 1
    lines = [Line(most - 2 * (LINES - index), "89abcdef", "s") for index in range(LINES)]
    full = Hour(most, "f" * 16, most, most, most)
    days = {date(2000, 1, 1) + timedelta(days=n): "f" * 16 for n in range(MAX_DAYS)}
    largest = [
        next(split_lines(HOUR, 10**12 - 1, lines)),
        Day(HOUR.date(), dict.fromkeys(range(24), full)),
        replace(HEAD, gone=[(most - 1, most)] * MAX_RANGES, days=days),
    ]
    for message in largest:
        sealed = Sealed(message.encode(), b"x" * 512, b"x" * 2048).encode()
        assert len(sealed) <= MAX_BYTES
        assert Sealed.decode(sealed) is not None
        assert type(message).decode(message.encode()) == message


def test_a_quiet_hour_costs_little() -> None:
    """A month of heads, each with the days of a month, takes 1.5 MB of the idle traffic."""
    days = {date(2026, 10, 28) + timedelta(days=n): "f" * 16 for n in range(31)}
    head = replace(HEAD, captured=10**6, instance="f" * 16, machine="f" * 16, days=days)
    sealed = Sealed(head.encode(), b"x" * 72, b"x" * 480).encode()
    assert len(sealed) * 24 * 31 < 1_500_000


def test_a_head_adds_up_only_if_every_face_has_an_outcome() -> None:
    assert HEAD.adds_up
    assert HEAD.lines == 11
    for name in ("captured", "stored", "quarantined", "pending", "evicted", "dead", "dropped"):
        assert not replace(HEAD, **{name: getattr(HEAD, name) + 1}).adds_up


def test_a_head_names_its_days() -> None:
    payload = Day(HOUR.date(), {7: Hour(1, hash_of([(1, "89abcdef")]))}).encode()
    name = day_name(*OUTBOX, HOUR.date(), payload)
    head = replace(HEAD, days={HOUR.date(): name.name.removeprefix("2026-11-27-")})
    assert head.day_names(*OUTBOX) == {HOUR.date(): name}
    assert str(name).startswith(digests_prefix(*OUTBOX, "day") + "2026-11-27-")


def test_names_of_heads_sort_by_number() -> None:
    names = [str(replace(HEAD, number=n).name(*OUTBOX)) for n in (2, 10, 10**9, 10**10)]
    assert names == sorted(names)
    assert names[0] == "digests/edge-1/front/0123abcd/head/000000000002"


def test_a_hash_is_of_the_faces_and_not_of_their_order() -> None:
    faces = [(9, "0000000a"), (10, "0000000b")]
    assert hash_of(faces) == hash_of(reversed(faces)) == "9329401b822551b4"
    assert hash_of(faces) != hash_of([(9, "0000000b"), (10, "0000000a")])
    assert hash_of(faces) != hash_of(faces[:1])


def test_an_hour_is_what_the_bucket_lists_under_its_prefix() -> None:
    prefix = hour_prefix("edge-1", "front", HOUR)
    for minute, within in ((-1, False), (0, True), (59, True), (60, False)):
        name = FaceName(*OUTBOX[:2], HOUR + timedelta(minutes=minute), OUTBOX[2], 1, "89abcdef")
        assert str(name).startswith(prefix) is within
    assert parse_hour(hour_text(HOUR)) == HOUR


@pytest.mark.parametrize(
    "name",
    [
        "digests/edge-1/front/0123abcd/head/000001795765",
        "digests/edge-1/front/0123abcd/day/2026-11-27-0123456789abcdef",
        "digests/edge-1/front/0123abcd/lines/2026-11-27T07-0",
    ],
)
def test_a_name_is_read_back_from_its_topic(name: str) -> None:
    assert str(DigestName.parse(name)) == name


@pytest.mark.parametrize(
    "topic",
    [
        "digests/edge-1/front/0123abcd/head/1",
        "digests/edge-1/front/0123abcd/head/000001795765/more",
        "digests/edge-1/front/0123abcd/head/00000179576\u0665",
        "digests/edge-1/front/0123ABCD/head/000001795765",
        "digests/edge-1/../0123abcd/head/000001795765",
        "digests/edge_1/front/0123abcd/head/000001795765",
        "digests/edge-1/front/0123abcd/day/000001795765",
        "digests/edge-1/front/0123abcd/day/2026-11-27",
        "digests/edge-1/front/0123abcd/lines/2026-11-27T07-12345",
        "digests/edge-1/front/0123abcd/tail/000001795765",
        "digests/edge-1/front/0123abcd/head/000001795765\n",
        "faces/edge-1/front/0123abcd/head/000001795765",
        "",
    ],
)
def test_other_topics_are_no_names(topic: str) -> None:
    assert DigestName.parse(topic) is None


def _changed(message: Head | Day | Lines | Ask, **values: object) -> bytes:
    return json.dumps({**json.loads(message.encode()), **values}).encode()


DAY = Day(HOUR.date(), {7: Hour(1, "0123456789abcdef")})
PART = Lines(HOUR, 7, 0, 1, [Line(1, "89abcdef", "s")])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 50_000,
        b'{"number":' + b"9" * 5000 + b"}",
        *(
            _changed(HEAD, **wrong)
            for wrong in (
                {"number": -1},
                {"number": 10**12},
                {"number": "1"},
                {"captured": True},
                {"captured": 1.0},
                {"captured": 10**18},
                {"stored": None},
                {"time": "2026-11-27T07:40:00"},
                {"time": 5},
                {"instance": ""},
                {"instance": "a b"},
                {"machine": "x" * 65},
                {"machine": 7},
                {"gone": [[1]]},
                {"gone": [[1, 2]] * (MAX_RANGES + 1)},
                {"days": []},
                {"days": {"2026-11-27": "short"}},
                {"days": {"20261127": "0123456789abcdef"}},
                {"days": {"2026-11-31": "0123456789abcdef"}},
                {
                    "days": {
                        (date(2000, 1, 1) + timedelta(days=n)).isoformat(): "f" * 16
                        for n in range(MAX_DAYS + 1)
                    }
                },
            )
        ),
    ],
)
def test_a_malformed_head_is_none(payload: bytes) -> None:
    assert Head.decode(payload) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"day": "2026-W48-5"},
        {"day": 5},
        {"hours": []},
        {"hours": {"24": [1, "0123456789abcdef", 0, 0, 0]}},
        {"hours": {"07": [1, "0123456789abcdef", 0, 0, 0]}},
        {"hours": {"7": [1, "0123456789abcdeg", 0, 0, 0]}},
        {"hours": {"7": [-1, "0123456789abcdef", 0, 0, 0]}},
        {"hours": {"7": [1, "0123456789abcdef", 0, 0]}},
        {"hours": {"7": 5}},
    ],
)
def test_a_malformed_day_is_none(wrong: dict) -> None:
    assert Day.decode(DAY.encode()) == DAY
    assert Day.decode(_changed(DAY, **wrong)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"hour": "2026-11-27T24"},
        {"hour": "2026-11-27T07:00"},
        {"hour": None},
        {"part": -1},
        {"parts": "1"},
        {"runs": [[1, "89abcdef", "ss"]]},
        {"runs": [[1, "89abcdeg", "s"]]},
        {"runs": [[1, "89abcdef", "x"]]},
        {"runs": [["1", "89abcdef", "s"]]},
        {"runs": [[1, "89abcdef"]]},
        {"runs": 5},
    ],
)
def test_malformed_lines_are_none(wrong: dict) -> None:
    assert Lines.decode(PART.encode()) == PART
    assert Lines.decode(_changed(PART, **wrong)) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b"x",
        b'{"hours": 5}',
        b'{"hours": ["x"]}',
        b'{"days": [5]}',
        json.dumps({"hours": ["2026-11-27T07"] * 65}).encode(),
    ],
)
def test_a_malformed_question_is_none(payload: bytes) -> None:
    assert Ask.decode(payload) is None


def test_what_is_not_what_its_name_says_is_none() -> None:
    for name, message in (
        (HEAD.name(*OUTBOX), replace(HEAD, number=5)),
        (day_name(*OUTBOX, DAY.day, DAY.encode()), Day(HOUR.date(), {7: Hour(2, "f" * 16)})),
        (PART.name(*OUTBOX), replace(PART, hour=HOUR + timedelta(hours=1))),
        (PART.name(*OUTBOX), HEAD),
        (HEAD.name(*OUTBOX), DAY),
    ):
        assert decode(name, message.encode()) is None


@given(st.binary(max_size=100))
def test_a_payload_without_a_seal(payload: bytes) -> None:
    if b"\n" not in payload:
        assert Sealed.decode(Sealed(payload).encode()) == Sealed(payload)


@given(st.binary(min_size=1, max_size=100), st.binary(min_size=1, max_size=100))
def test_a_seal_is_read_back(signature: bytes, certificate: bytes) -> None:
    sealed = Sealed(b'{"a":1}', signature, certificate)
    assert Sealed.decode(sealed.encode()) == sealed


@pytest.mark.parametrize(
    "message", [b"{}\nAAAA", b"{}\nAAAA\nAAAA\nAAAA", b"{}\nA\nAAAA", b"{}" + b" " * MAX_BYTES]
)
def test_a_broken_seal_is_none(message: bytes) -> None:
    assert Sealed.decode(message) is None


def test_a_signature_is_of_name_and_payload() -> None:
    assert signed_content(DAY_NAME, b"{}") == f"{DAY_NAME}\n".encode() + b"{}"


DAY_NAME = day_name(*OUTBOX, DAY.day, DAY.encode())
