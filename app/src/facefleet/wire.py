"""What paho takes for its socket: asyncio's connection, read and written in large pieces.

paho reads a packet by single bytes and goes through a dozen calls and locks for each message.
So it gets its packets whole, from memory; and PUBLISH at QoS 0 and 1, nearly all that there is,
goes past it, by codec.py: docs/measurements.md says what that saves. Nobody waits for a PUBACK: a
session ends with its connection, nothing is sent twice within one, and what was lost is the
outbox's to notice.
"""

import asyncio
import itertools
from collections.abc import Callable

import paho.mqtt.client as paho

from facefleet.codec import PINGREQ, Message, Splitter, TooLarge, acknowledged, publish_head
from facefleet.logging import log

_FIRST_ID, _LAST_ID = 0x8000, 0xFFFF  # of our packets; paho numbers its own from 1


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
        self._splitter = Splitter()
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
        for packet in self._splitter.feed(data):
            if isinstance(packet, Message):
                self._receive(packet)
            elif isinstance(packet, TooLarge):
                log.warning("a message was dropped, for it is too large", bytes=packet.size)
                self._write(packet.acknowledgement)
            elif (acknowledged(packet) or 0) < _FIRST_ID:  # not of a packet of ours
                self._packet = packet
                self.client.loop_read()
                if self.client.want_write():  # what a callback of paho's own has said
                    self.client.loop_write()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.set()
        self._on_end(error)

    def _receive(self, message: Message) -> None:
        if message.acknowledgement:
            self._write(message.acknowledgement)
        try:
            topic = message.topic.decode()
        except UnicodeDecodeError:
            log.warning("a message whose topic is not UTF-8 was dropped")
            return
        self._on_message(topic, message.payload, message.retain)

    # -- the application's side ----------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._unsent + self._transport.get_write_buffer_size()

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """A message at QoS 0 or 1."""
        packet_id = next(self._ids) if qos else 0
        self._write(publish_head(topic, len(payload), qos, retain, packet_id))
        self._write(payload)

    def ping(self) -> None:
        """Ask the broker for a sign of life."""
        self._write(PINGREQ)

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
