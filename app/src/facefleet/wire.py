"""What paho takes for its socket: asyncio's connection, read and written in large pieces.

paho reads a packet by single bytes and goes through a dozen calls and locks for each message.
So it gets its packets whole, from memory; and PUBLISH at QoS 0 and 1, nearly all that there is,
goes past it: that is a seventh of its price. Nobody waits for a PUBACK: a session ends with its
connection, nothing is sent twice within one, and what was lost is the outbox's to notice.
"""

import asyncio
import itertools
from collections.abc import Callable

import paho.mqtt.client as paho

from facefleet.logging import log

_PUBLISH, _PUBACK = 0x30, 0x40
_TYPE, _QOS, _QOS_1, _RETAIN = 0xF0, 0x06, 0x02, 0x01
_FIRST_ID, _LAST_ID = 0x8000, 0xFFFF  # of our packets; paho numbers its own from 1
_PUBREC = 0x50
_PINGREQ = b"\xc0\x00"
_LARGEST_LENGTH = 4  # bytes that say how long a packet is
LARGEST_PAYLOAD = 1 << 20  # bytes: no face is larger
LARGEST = LARGEST_PAYLOAD + (1 << 16) + 16  # bytes of a packet: that, the longest topic, and a head


class Wire(asyncio.Protocol):
    """One connection's bytes. `on_message(topic, payload, retain)` gets what comes, but for QoS 2;
    `on_end(error)` what ended the connection: an OSError, None where the broker closed it, and
    anything else is a defect of `on_message`.
    """

    def __init__(
        self,
        client_id: str,
        on_message: Callable[[str, bytes, bool], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self._on_message, self._on_end = on_message, on_end
        self._ids = itertools.cycle(range(_FIRST_ID, _LAST_ID + 1))
        self._rest: list[bytes] = []  # of what came: a packet that is not whole yet
        self._missing = 0  # bytes of it that are to come, as far as is known
        self._skipped = 0  # bytes that are to come of a packet that is not taken
        self._packet = b""  # what paho is to read next
        self._out: list[bytes] = []  # what is written when the loop comes round
        self._unsent = 0  # bytes in it
        self._closed = asyncio.Event()
        self.received = 0  # bytes
        self.client = _Client(self, client_id)

    # -- the loop's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
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
        while (found := _packet_in(data, start)) is not None:
            body, end = found
            if end > len(data):
                break
            kind, qos = data[start] & _TYPE, data[start] & _QOS
            if kind == _PUBLISH and qos <= _QOS_1:
                self._read_message(data, start, body, end)
            elif kind != _PUBACK or int.from_bytes(data[body:end], "big") < _FIRST_ID:
                self._packet = data[start:end]
                self.client.loop_read()
                if self.client.want_write():  # what a callback of paho's own has said
                    self.client.loop_write()
            start = end
        self._rest = [data[start:]] if start < len(data) else []
        self._missing = 0
        if found is not None:
            if end - start <= LARGEST:
                self._missing = end - len(data)
            else:
                self._skip(data, start, body, end)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()
        self._on_end(error)

    def _skip(self, data: bytes, start: int, body: int, end: int) -> None:
        """Let a packet pass that is too large for us, once its head is there.

        It is acknowledged, or the broker would keep a place for it, and send it again.
        """
        if data[start] & _TYPE != _PUBLISH:
            raise ConnectionError(f"a packet of {end - start} bytes that is no message")
        name_end = body + 2 + int.from_bytes(data[body : body + 2], "big")
        if len(data) < max(body + 2, name_end + 2):
            return
        if qos := data[start] & _QOS:
            reply = _PUBACK if qos == _QOS_1 else _PUBREC
            self._write(bytes((reply, 2)) + data[name_end : name_end + 2])
        log.warning("a message was dropped, for it is too large", bytes=end - start)
        self._rest, self._skipped = [], end - len(data)

    def _read_message(self, data: bytes, start: int, body: int, end: int) -> None:
        name = body + 2
        content = name_end = name + int.from_bytes(data[body:name], "big")
        if data[start] & _QOS:
            content += 2
            self._write(bytes((_PUBACK, 2)) + data[name_end:content])
        try:
            topic = data[name:name_end].decode()
        except UnicodeDecodeError:
            log.warning("a message whose topic is not UTF-8 was dropped")
            return
        self._on_message(topic, data[content:end], bool(data[start] & _RETAIN))

    # -- the application's side ----------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._unsent + self._transport.get_write_buffer_size()

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """A message at QoS 0 or 1."""
        name = topic.encode()
        head = bytearray((_PUBLISH | qos << 1 | retain,))
        length = 2 + len(name) + 2 * qos + len(payload)
        while length > 0x7F:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        head.append(length)
        head += len(name).to_bytes(2, "big") + name
        if qos:
            head += next(self._ids).to_bytes(2, "big")
        self._write(head)
        self._write(payload)

    def ping(self) -> None:
        """Ask the broker for a sign of life."""
        self._write(_PINGREQ)

    def close(self) -> None:
        """Write what there is, and end. paho calls it too."""
        self._flush()
        self._transport.close()

    async def closed(self, seconds: float) -> None:
        """Wait, after `close`, until the network has it all; drop what it has not after so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out.append(data)
        self._unsent += len(data)

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.writelines(self._out)
        self._out, self._unsent = [], 0

    # -- paho's side: a socket -----------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        if not self._packet:
            raise BlockingIOError
        data, self._packet = self._packet[:size], self._packet[size:]
        return data

    def send(self, data: bytes) -> int:
        self._write(bytes(data))
        return len(data)

    def fileno(self) -> int:
        return -1  # nothing that could be waited for

    def setblocking(self, blocking: bool) -> None:
        """It never blocks."""


class _Client(paho.Client):
    """paho, on a wire instead of on a socket of its own."""

    def __init__(self, wire: Wire, client_id: str) -> None:
        super().__init__(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        self._wire = wire

    def _create_socket(self) -> Wire:
        return self._wire


def _packet_in(data: bytes, start: int) -> tuple[int, int] | None:
    """Where the packet's body starts and ends, or None where not even that has come."""
    length = 0
    for n in range(_LARGEST_LENGTH):
        at = start + 1 + n
        if at >= len(data):
            return None
        length |= (data[at] & 0x7F) << (7 * n)
        if data[at] < 0x80:
            return at + 1, at + 1 + length
    raise ConnectionError("what came is not MQTT")
