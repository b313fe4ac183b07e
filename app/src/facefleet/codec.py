"""MQTT 3.1.1 packets as bytes: writing PUBLISH, reading it, and cutting a stream into packets.

No socket, no clock. What this leaves out (CONNECT, SUBSCRIBE, QoS 2, ...) is paho's.
"""

from collections.abc import Iterator
from typing import NamedTuple

PUBLISH, PUBACK, PUBREC = 0x30, 0x40, 0x50
_PUBACK_HEAD = bytes((PUBACK, 2))
PINGREQ = b"\xc0\x00"
LARGEST_PAYLOAD = 1 << 20  # bytes: no face is larger
LARGEST = LARGEST_PAYLOAD + (1 << 16) + 16  # bytes of a packet: that, the longest topic, and a head
_KIND, _QOS, _QOS_1, _RETAIN = 0xF0, 0x06, 0x02, 0x01
_MESSAGES = (PUBLISH, PUBLISH | _QOS_1)
_LENGTH_DIGITS = 4  # bytes at most that say how long a packet is


class TooLarge(NamedTuple):
    """A PUBLISH larger than LARGEST, of which nothing but its head was kept."""

    size: int  # bytes
    acknowledgement: bytes
    """What a broker has to be told, or it would keep a place for it, and send it again."""


class Message(NamedTuple):
    """A PUBLISH at QoS 0 or 1."""

    topic: bytes  # UTF-8, if the sender keeps to the standard
    payload: bytes
    retain: bool
    acknowledgement: bytes
    """For the broker; empty at QoS 0."""


def publish_head(topic: str, size: int, qos: int, retain: bool, packet_id: int) -> bytes:
    """A PUBLISH up to its payload of `size` bytes; `packet_id` is not written at QoS 0."""
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
    """The id of the packet that a PUBACK acknowledges; None where it is another packet."""
    return int.from_bytes(packet[2:4], "big") if packet[0] & _KIND == PUBACK else None


class Splitter:
    """Cuts a stream of bytes into packets, however they are cut, in bounded memory."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of what came: a packet that is not whole yet
        self._missing = 0  # bytes of it that are to come, as far as is known
        self._skipped = 0  # bytes that are to come of a packet that is too large

    def feed(self, data: bytes) -> Iterator[Message | TooLarge | bytes]:
        """The packets that are whole with `data`; as bytes, where they are none of those two.

        Raises ConnectionError where it is not MQTT.
        """
        if self._skipped:
            start = min(self._skipped, len(data))
            self._skipped -= start
            data = data[start:]
        self._missing -= len(data)
        if self._rest:
            self._rest.append(data)
            if self._missing > 0:
                return  # joined once: a packet may come in very many pieces
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
        if end - start <= LARGEST:
            self._missing = end - len(data)
        elif too_large := _too_large(data[start:], body - start, end - start):
            self._rest, self._skipped = [], end - len(data)
            yield too_large


def _packet_at(data: bytes, start: int) -> tuple[int, int] | None:
    """Where the packet's body starts and ends, or None where not even that has come."""
    length = 0
    for n in range(_LENGTH_DIGITS):
        at = start + 1 + n
        if at >= len(data):
            return None
        length |= (data[at] & 0x7F) << (7 * n)
        if data[at] < 0x80:
            return at + 1, at + 1 + length
    raise ConnectionError("what came is not MQTT")


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
    """What is said of a packet that begins so, or None until enough of it has come."""
    if head[0] & _KIND != PUBLISH:
        raise ConnectionError(f"a packet of {size} bytes that is no message")
    name_end = body + 2 + int.from_bytes(head[body : body + 2], "big")
    if len(head) < max(body + 2, name_end + 2):
        return None
    if not head[0] & _QOS:
        return TooLarge(size, b"")
    kind = PUBACK if head[0] & _QOS == _QOS_1 else PUBREC
    return TooLarge(size, bytes((kind, 2)) + head[name_end : name_end + 2])
