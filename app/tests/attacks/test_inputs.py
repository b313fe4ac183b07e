"""What anybody may send, given to the code that reads it: refused, or taken for what it is."""

import contextlib
import io
import itertools
import json
import os
import re
import struct
import time
import tracemalloc
import warnings
from unittest import mock

import pytest
from facefleet import codec, jpeg, settings
from facefleet.auditing.erasure_records import Erasure
from facefleet.errors import SettingsError
from facefleet.exif import FaceInfo, NotAJpegError, read_exif
from facefleet.protocol import FaceName, Receipt, can_be_sent, content_tag
from facefleet.quotas import Cameras
from facefleet.services.processor import MAX_PIXELS, classify_message
from facefleet.tools.cameras import parse_row
from facefleet.tools.status import _rows
from facefleet.tools.tables import table
from facefleet.wire import Wire
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from PIL import Image

from support import picture

MAX_FACE = 1 << 20
FACE = picture.jpeg(b"a face")
TOPICS = [
    f"faces/edge-1/front/2026/02/28/235959-000001-0123abcd-7-{content_tag(FACE)}",
    f"faces/edge-1/front/2026/02/28/235959.000001-0123abcd-7-{content_tag(FACE)}.jpg",
]
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

# -- topics ----------------------------------------------------------------------------------------

levels = st.sampled_from(
    ["..", ".", "", "#", "+", "\0", "\n", "édge", "e\u0301", "\u202e", "%2e%2e", "\\..\\", "EDGE-1"]
)
topics = (
    st.text()
    | st.lists(levels | st.text(max_size=5), max_size=8).map(
        lambda some: "/".join(["faces", *some])
    )
    | st.tuples(
        st.sampled_from(TOPICS), st.integers(0, len(TOPICS[-1])), levels | st.text(max_size=3)
    ).map(lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :])
)
payloads = (
    st.binary(max_size=200)
    | st.just(FACE)
    | st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)).map(
        lambda size: picture.jpeg(b"", *size)
    )
)


@given(topics, payloads)
def test_a_message_is_stored_as_a_face_or_set_aside(topic: str, payload: bytes) -> None:
    job = classify_message(topic, payload, MAX_FACE, Cameras())
    if job.fault is None:
        assert FaceName.parse(job.key) == FaceName.of_topic(topic)
        assert job.key.endswith(f"-{content_tag(payload)}.jpg")
        width, height = jpeg.size(payload)
        assert 0 < width * height <= MAX_PIXELS
    else:
        assert re.fullmatch(rf"quarantine/(unknown|{LABEL}/{LABEL})/[0-9a-f]{{32}}", job.key)
    for name, value in job.attributes.items():  # they become headers
        assert re.fullmatch(r"[ -~]{0,1024}", value, re.ASCII), name


@given(topics)
def test_no_topic_makes_a_key_that_climbs(topic: str) -> None:
    if name := FaceName.of_topic(topic):
        assert can_be_sent(topic)
        assert not {"", ".", ".."} & set(str(name).split("/"))
        assert re.fullmatch(r"[a-z0-9/.-]{1,200}", str(name), re.ASCII)


@given(topics | st.text().map(lambda text: f"erased/{text}"))
def test_a_record_of_an_erasure_is_spelled_in_one_way(key: str) -> None:
    found = Erasure.parse(key)
    assert found is None or found.scope.record(found.at) == key


# -- pictures --------------------------------------------------------------------------------------


@given(st.binary(max_size=300).map(lambda tail: b"\xff\xd8\xff" + tail + b"\xff\xd9"))
def test_a_picture_has_a_size_or_is_none(payload: bytes) -> None:
    found = jpeg.size(payload)
    assert found is None or min(found) > 0


def test_a_head_without_end_costs_no_time() -> None:
    bomb = b"\xff\xd8" + b"\xff\xe0\x00\x02" * (1 << 18) + b"\xff\xd9"
    started = time.process_time()
    assert all(jpeg.size(bomb) is None for _ in range(1000))
    assert time.process_time() - started < 2


MAKE = (0x010F, 2, 10, 4000)


def ifd(*entries: tuple[int, int, int, int], follow: int = 0) -> bytes:
    """A directory of (tag, type, count, value or offset)."""
    packed = b"".join(struct.pack(">HHLL", *entry) for entry in entries)
    return struct.pack(">H", len(entries)) + packed + struct.pack(">L", follow)


def with_exif(tiff: bytes) -> bytes:
    """A JPEG with directories from offset 8 on, and at MAKE's what a face of ours has there."""
    content = b"Exif\0\0MM\0*\0\0\0\x08" + tiff.ljust(MAKE[3] - 8, b"\0") + b"facefleet\0"
    return FACE[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + FACE[2:]


EXIF_BOMBS = {
    "a directory that is its own successor": ifd(MAKE, follow=8),
    "a directory that is its own details": ifd(MAKE, (0x8769, 4, 1, 8)),
    "more than there is": ifd(MAKE, (0x0110, 2, 0xFFFFFFFF, 8)),
    "behind the end": ifd(MAKE, (0x0110, 2, 100, 0xFFFFFFF0)),
    "a number without a denominator": ifd(MAKE, (0x0110, 5, 500, 8)),
    "each of 5,000 tags is all of it": ifd(*((tag, 7, 60_000, 8) for tag in range(5000))),
    "each of 300 tags is all of it": ifd(MAKE, *((tag, 7, 3600, 8) for tag in range(300))),
    "a directory of 65,535": b"\xff\xff" + bytes(4000),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # by which Pillow tells of a broken EXIF
@pytest.mark.parametrize("bomb", EXIF_BOMBS)
def test_an_exif_bomb_says_nothing_and_costs_little(bomb: str) -> None:
    payload = with_exif(EXIF_BOMBS[bomb])
    assert jpeg.size(payload) == (8, 8)
    read_exif(payload)  # so that what Pillow imports at the first EXIF does not count
    tracemalloc.start()
    try:
        assert read_exif(payload) == FaceInfo()
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


entries = st.tuples(
    st.sampled_from([0x010F, 0x0110, 0x0131, 0x013C, 0x8769, 0x8825, 0x9286, 0x927C, 0xA005]),
    st.integers(0, 14),
    st.integers(0, 40) | st.integers(0, 0xFFFFFFFF),
    st.integers(0, 400) | st.integers(0, 0xFFFFFFFF),
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.lists(entries, max_size=12), st.integers(0, 300), st.binary(max_size=300))
def test_any_exif_is_read_or_says_nothing(some: list, follow: int, tail: bytes) -> None:
    tiff = ifd(MAKE, *some, follow=follow) + tail
    assert isinstance(read_exif(with_exif(tiff)), FaceInfo)


COMMENTS = [
    {"box": [1, 2, 3], "score": 1},
    {"box": ["a", 2, 3, 4], "score": 1},
    {"box": [1, 2, 3, 1e999], "score": 1},
    {"box": [1, 2, 3, [4]], "score": 1},
    {"box": {"x": 1}, "score": 1},
    {"box": [1, 2, 3, 4], "score": 10**400},
    {"box": [1, 2, 3, 4], "score": {}},
    {"box": [1, 2, 3, 4], "score": None},
    {"score": 1},
    [],
    None,
]


@pytest.mark.parametrize("comment", COMMENTS, ids=str)
def test_what_is_written_as_ours_is_of_its_type_or_says_nothing(comment: object) -> None:
    def face(comment: object) -> bytes:
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "facefleet", "front"
        exif[0x0131], exif[0x013C] = "haar", "edge-1"
        exif[0x8769] = {
            0x9003: "2026:03:04 05:06:07",
            0x9291: "000089",
            0x9286: b"ASCII\0\0\0" + json.dumps(comment).encode(),
        }
        content = exif.tobytes()
        return FACE[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + FACE[2:]

    right = read_exif(face({"box": [1, 2, 3, 4], "score": 1}))
    assert (right.box, right.score, right.device) == ((1, 2, 3, 4), 1.0, "edge-1")
    assert read_exif(face(comment)) == FaceInfo()


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(65_500, 65_500), (20_000, 20_000), (1, 65_535)])
def test_a_picture_that_is_a_bomb_is_not_decoded(size: tuple[int, int]) -> None:
    tracemalloc.start()
    try:
        assert read_exif(picture.jpeg(b"", *size)) == FaceInfo()
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_another_kind_of_picture_is_no_jpeg() -> None:
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">L4sLL5B", 13, b"IHDR", 65_500, 65_500, 8, 0, 0, 0, 0)
    for payload in (png, png + b"\xff\xd9", b"\xff\xd8\xff" + png + b"\xff\xd9"):
        assert jpeg.size(payload) is None
        with pytest.raises(NotAJpegError):
            read_exif(payload)


# -- receipts and status ---------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
counts = ("captured", "stored", "pending", "evicted", "dead")


def test_a_receipt_that_is_too_large_is_not_read() -> None:
    row = '[1,"89abcdef"],'
    whole = b'{"epoch":"e","stored":[%b[2,"89abcdef"]]}'
    assert len(Receipt.decode(whole % (row * 1000).encode()).stored) == 1001
    tracemalloc.start()
    try:
        assert Receipt.decode(whole % (row * 1_000_000).encode()) is None
        assert tracemalloc.get_traced_memory()[1] < 64 << 20  # of which the payload is half
    finally:
        tracemalloc.stop()


ROW = {"state": "online", "camera": "ok", **dict.fromkeys(counts, 1), "p50": 0.1, "p99": None}
odd = values | st.sampled_from([10**400, -(10**400), 1e308, float("inf"), "\x1b[2J", "a\nb"])


@given(
    st.dictionaries(st.sampled_from(list(ROW)), odd, max_size=2).map(lambda some: ROW | some)
    | values
)
def test_a_status_is_a_row_of_text_or_none(body: object) -> None:
    row = parse_row(json.dumps(body).encode())
    if row is not None:
        printed = table(_rows({"edge-1/front": row}))
        assert len(printed.splitlines()) == 2
        assert printed.replace("\n", "").isprintable()


# -- settings --------------------------------------------------------------------------------------

texts = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
) | st.binary().map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
hostile = (
    texts
    | st.sampled_from(["9" * 5000, "-1", "1e999", "nan", "0x10", "\x1b[2J", "9e999TiB", "mqtt://["])
    | st.tuples(texts, texts).map(lambda two: f"mqtt://{two[0]}:hunter2@{two[1]}")
)
SERVICES = [
    settings.DetectorSettings,
    settings.ForwarderSettings,
    settings.ProcessorSettings,
    settings.GallerySettings,
    settings.VerifySettings,
    settings.EraseSettings,
]


@effort(max_examples=60)
@given(st.sampled_from(SERVICES), st.data())
def test_a_setting_is_taken_or_refused_in_a_sentence(of: type, data: st.DataObject) -> None:
    names = [f"FACEFLEET_{name.upper()}" for name in of.model_fields]
    environment = {name: data.draw(hostile, name) for name in names}
    with mock.patch.dict(os.environ, environment, clear=True):
        said = ""
        try:
            settings.load(of)
        except SettingsError as error:
            said = str(error)
    brokers = [line for line in said.splitlines() if "_BROKER" in line]
    assert "hunter2" not in "".join(brokers)
    assert all(line.startswith("FACEFLEET_") and line.isprintable() for line in said.splitlines())


# -- the wire --------------------------------------------------------------------------------------


class Pipe:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


def packet(topic: str, payload: bytes, qos: int = 0) -> bytes:
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (b"\x00\x07" if qos else b"") + payload
    length, digits = len(body), bytearray()
    while True:
        digits.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
        if not length:
            return bytes((0x30 | qos << 1, *digits)) + body


def read(pieces: list[bytes]) -> tuple[list[tuple[str, bytes]], bytes]:
    """What a wire hears, and what it answers."""
    heard: list[tuple[str, bytes]] = []
    reader = Wire("id", lambda topic, payload, _: heard.append((topic, payload)), lambda _: None)
    answered: list[bytes] = []
    reader._write = answered.append
    for piece in pieces:
        reader.data_received(piece)
    return heard, b"".join(answered)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places) if a < b]


messages = st.lists(
    st.tuples(st.text(max_size=20), st.integers(0, 400).map(bytes), st.integers(0, 1)), max_size=8
)


@given(messages, st.lists(st.integers(0, 5000), max_size=30))
def test_messages_arrive_however_they_are_cut_but_for_those_too_large(
    sent: list[tuple[str, bytes, int]], at: list[int]
) -> None:
    packets = [packet(*message) for message in sent]
    with mock.patch.object(codec, "MAX_PACKET_BYTES", 200):
        heard, answered = read(cut(b"".join(packets), at))
    # One that was there at once has cost nothing.
    small = [(topic, payload) for topic, payload, _ in sent if len(payload) <= 100]
    assert [message for message in heard if len(message[1]) <= 100] == small
    if at == []:
        assert heard == [(topic, payload) for topic, payload, _ in sent]
    assert answered == b"\x40\x02\x00\x07" * sum(qos for *_, qos in sent)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=9))
def test_what_is_not_mqtt_ends_the_connection_or_is_passed_over(data: bytes, at: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(OSError):
            read(cut(data, at))


def test_a_packet_in_very_many_pieces_costs_no_time() -> None:
    whole = packet("faces", bytes(1 << 20))
    pieces = [whole[at : at + 1400] for at in range(0, len(whole), 1400)]
    started = time.process_time()
    heard, _ = read(pieces)
    assert [len(payload) for _, payload in heard] == [1 << 20]
    assert time.process_time() - started < 1


def test_a_packet_that_is_too_large_is_not_kept() -> None:
    whole = packet("faces", bytes(200 << 20))
    tracemalloc.start()
    try:
        reader = io.BytesIO(whole)
        heard, _ = read(iter(lambda: reader.read(1 << 18), b""))
        assert not heard
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
