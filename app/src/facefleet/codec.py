"""Encode and decode MQTT 3.1.1 PUBLISH packets, and split a byte stream into packets.

Pure functions: no socket, no clock. All other packets (CONNECT, SUBSCRIBE, QoS 2, ...) are left to
paho.
"""

from collections.abc import Iterator
from typing import NamedTuple

PUBLISH, PUBACK, PUBREC = 0x30, 0x40, 0x50
_PUBACK_HEAD = bytes((PUBACK, 2))
PINGREQ = b"\xc0\x00"
MAX_PAYLOAD_BYTES = 1 << 20  # no face is larger
MAX_PACKET_BYTES = MAX_PAYLOAD_BYTES + (1 << 16) + 16  # payload, longest topic, fixed header
_KIND, _QOS, _QOS_1, _RETAIN = 0xF0, 0x06, 0x02, 0x01
_MESSAGES = (PUBLISH, PUBLISH | _QOS_1)
_LENGTH_DIGITS = 4  # maximum number of bytes that encode a packet's length


class TooLarge(NamedTuple):
    """A PUBLISH larger than MAX_PACKET_BYTES. Its content was discarded."""

    size: int  # bytes
    acknowledgement: bytes
    """Must be sent to the broker, which otherwise keeps the message in flight and resends it."""


class Message(NamedTuple):
    """A PUBLISH at QoS 0 or 1."""

    topic: bytes  # UTF-8, if the sender keeps to the standard
    payload: bytes
    retain: bool
    acknowledgement: bytes
    """To be sent to the broker; empty at QoS 0."""


def publish_head(topic: str, size: int, qos: int, retain: bool, packet_id: int) -> bytes:
    """Encode a PUBLISH up to its payload of `size` bytes. `packet_id` is ignored at QoS 0."""
    name = topic.encode()
    head = bytearray((PUBLISH | qos << 1 | retain,))
    length = 2 + len(name) + (2 if qos else 0) + size
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    head += len(name).to_bytes(2, "big") + name
    if qos:
        head += packet_id.to_bytes(2, "big")
    return bytes(head)


def acknowledged(packet: bytes) -> int | None:
    """Return the id of the packet that a PUBACK acknowledges; None for any other packet."""
    return int.from_bytes(packet[2:4], "big") if packet[0] & _KIND == PUBACK else None


class Splitter:
    """Splits a stream of bytes into packets, whatever its chunk sizes, in bounded memory."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # chunks of an incomplete packet
        self._missing = 0  # bytes until it is complete, as far as is known
        self._skipped = 0  # bytes still to be discarded of a packet that is too large

    def feed(self, data: bytes) -> Iterator[Message | TooLarge | bytes]:
        """Yield the packets that `data` completes; those other than PUBLISH as plain bytes.

        Raises ConnectionError if the stream is not MQTT.
        """
        if self._skipped:
            start = min(self._skipped, len(data))
            self._skipped -= start
            data = data[start:]
        self._missing -= len(data)
        if self._rest:
            self._rest.append(data)
            if self._missing > 0:
                return  # join only once, as a packet may arrive in many chunks
            data = b"".join(self._rest)
        start = 0
        while (found := _packet_at(data, start)) is not None:
            body, end = found
            if end > len(data):
                break
            if data[start] & (_KIND | _QOS) in _MESSAGES:
                yield _message(data, start, body, end)
            else:
                yield data[start:end]
            start = end
        self._rest = [data[start:]] if start < len(data) else []
        self._missing = 0
        if found is None:
            return
        if end - start <= MAX_PACKET_BYTES:
            self._missing = end - len(data)
        elif too_large := _too_large(data[start:], body - start, end - start):
            self._rest, self._skipped = [], end - len(data)
            yield too_large


def _packet_at(data: bytes, start: int) -> tuple[int, int] | None:
    """Return where the packet's body starts and ends, or None if its header is incomplete."""
    length = 0
    for n in range(_LENGTH_DIGITS):
        at = start + 1 + n
        if at >= len(data):
            return None
        length |= (data[at] & 0x7F) << (7 * n)
        if data[at] < 0x80:
            return at + 1, at + 1 + length
    raise ConnectionError("the peer does not speak MQTT")


def _message(data: bytes, start: int, body: int, end: int) -> Message:
    name = body + 2
    content = name_end = min(end, name + int.from_bytes(data[body:name], "big"))
    acknowledgement = b""
    if data[start] & _QOS:
        content = min(end, content + 2)
        acknowledgement = _PUBACK_HEAD + data[name_end:content]
    retain = bool(data[start] & _RETAIN)
    return Message(data[name:name_end], data[content:end], retain, acknowledgement)


def _too_large(head: bytes, body: int, size: int) -> TooLarge | None:
    """Describe an oversized packet by its head, or return None until enough has arrived."""
    if head[0] & _KIND != PUBLISH:
        raise ConnectionError(f"received a control packet of {size} bytes")
    name_end = body + 2 + int.from_bytes(head[body : body + 2], "big")
    if len(head) < max(body + 2, name_end + 2):
        return None
    if not head[0] & _QOS:
        return TooLarge(size, b"")
    kind = PUBACK if head[0] & _QOS == _QOS_1 else PUBREC
    return TooLarge(size, bytes((kind, 2)) + head[name_end : name_end + 2])
