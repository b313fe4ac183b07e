"""MQTT packets are written as the standard says, and read however they are cut."""

import itertools
from unittest import mock

import pytest
from amqtt.mqtt.publish import PublishPacket
from facefleet import codec
from facefleet.codec import Message, Splitter, TooLarge, acknowledged, publish_head
from hypothesis import given
from hypothesis import strategies as st

PUBACK_7, PUBREC_7 = b"\x40\x02\x00\x07", b"\x50\x02\x00\x07"

topics = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), max_size=40)
sizes = st.integers(0, 300) | st.sampled_from([16_000, 16_500, 2_097_000, 2_098_000])
messages = st.tuples(topics, sizes, st.integers(0, 2), st.booleans(), st.integers(1, 0xFFFF))


def publish(topic: str, size: int, qos: int, retain: bool, packet_id: int) -> bytes:
    return publish_head(topic, size, qos, retain, packet_id) + bytes(size)


def split(data: bytes, at: list[int]) -> list[Message | TooLarge | bytes]:
    """The packets of `data`, which comes in pieces that end `at` these places."""
    splitter = Splitter()
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(places) if a < b]
    return [packet for piece in pieces for packet in splitter.feed(piece)]


@given(messages)
def test_publish_is_written_as_another_library_does(message: tuple) -> None:
    topic, size, qos, retain, packet_id = message
    expected = PublishPacket.build(
        topic, bytes(size), packet_id if qos else None, False, qos, retain
    )
    assert publish(*message) == bytes(expected.to_bytes())


@given(
    st.lists(messages.filter(lambda message: message[1] <= 16_500), max_size=8),
    st.lists(st.integers(0, 50_000), max_size=30),
)
def test_packets_are_read_as_written_however_they_are_cut(sent: list[tuple], at: list[int]) -> None:
    packets = split(b"".join(publish(*message) for message in sent), at)
    for packet, message in zip(packets, sent, strict=True):
        topic, size, qos, retain, packet_id = message
        if qos == 2:
            assert packet == publish(*message)
        else:
            acknowledgement = b"\x40\x02" + packet_id.to_bytes(2, "big") if qos else b""
            assert packet == Message(topic.encode(), bytes(size), retain, acknowledgement)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=9))
def test_any_bytes_are_packets_or_end_the_connection(data: bytes, at: list[int]) -> None:
    with mock.patch.object(codec, "MAX_PACKET_BYTES", 1 << 30):
        try:
            packets = split(data, at)
        except ConnectionError:
            return
    for packet in packets:
        parts = (packet.topic, packet.payload) if isinstance(packet, Message) else (packet,)
        assert all(part in data for part in parts)


@pytest.mark.parametrize(("qos", "acknowledgement"), [(0, b""), (1, PUBACK_7), (2, PUBREC_7)])
@given(st.lists(st.integers(0, 1000), max_size=9))
def test_a_packet_that_is_too_large_is_acknowledged_and_passed_over(
    qos: int, acknowledgement: bytes, at: list[int]
) -> None:
    large = publish("large", 400, qos, False, 7)
    after = publish("after", 10, 0, False, 0)
    with mock.patch.object(codec, "MAX_PACKET_BYTES", 200):
        packets = split(large + after, at)
    # One that came in one piece has cost nothing, and is taken.
    taken = large if qos == 2 else Message(b"large", bytes(400), False, acknowledgement)
    assert packets[0] in (taken, TooLarge(len(large), acknowledgement))
    assert packets[1:] == [Message(b"after", bytes(10), False, b"")]


def test_a_large_packet_of_another_kind_ends_the_connection() -> None:
    with pytest.raises(ConnectionError, match="control packet of 2097155 bytes"):
        split(b"\x90\xff\xff\x7f" + bytes(10), [])


def test_only_a_puback_acknowledges() -> None:
    assert acknowledged(PUBACK_7) == 7
    assert acknowledged(PUBREC_7) is None


@pytest.mark.parametrize("qos", [0, 1])
def test_a_topic_that_claims_to_be_longer_than_its_packet_ends_with_it(qos: int) -> None:
    liar = bytes((0x30 | qos << 1, 4)) + b"\x01\x00ab"
    first, second = split(liar + publish("after", 10, 0, False, 0), [])
    assert first[:2] == (b"ab", b"")
    assert second == Message(b"after", bytes(10), False, b"")


def test_the_longest_length_of_the_standard_is_read() -> None:
    whole = publish("large", 2_098_000, 0, False, 0)
    with mock.patch.object(codec, "MAX_PACKET_BYTES", 1 << 28):
        assert split(whole, [3, 1000]) == [Message(b"large", bytes(2_098_000), False, b"")]
    with pytest.raises(ConnectionError, match="does not speak MQTT"):
        split(b"\x30\xff\xff\xff\xff\x01", [])
