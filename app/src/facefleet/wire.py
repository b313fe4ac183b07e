"""An asyncio connection that stands in for paho's socket, read and written in large chunks.

paho reads packets byte by byte and takes a dozen calls and locks for each message. So it gets whole
packets from memory, while PUBLISH at QoS 0 and 1, nearly all of the traffic, bypasses it through
codec.py; docs/measurements.md has the savings. Nothing waits for a PUBACK: a session ends with its
connection, no message is repeated within it, and the outbox notices losses.
"""

import asyncio
import itertools
from collections.abc import Callable

import paho.mqtt.client as paho

from facefleet.codec import PINGREQ, Message, Splitter, TooLarge, acknowledged, publish_head
from facefleet.logging import log

_FIRST_ID, _LAST_ID = 0x8000, 0xFFFF  # packet ids of this module; paho's own start from 1


class Wire(asyncio.Protocol):
    """The bytes of one connection.

    `on_message(topic, payload, retain)` receives messages at QoS 0 and 1. `on_end(error)` receives
    what ended the connection: None if the broker closed it, or an OSError. Any other exception is a
    bug in `on_message`.
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
        self._packet = b""  # the packet that paho reads next
        self._out: list[bytes] = []  # written in the loop's next turn
        self._unsent = 0  # bytes in it
        self._closed = asyncio.Event()
        self.received = self.sent = 0  # bytes
        self.is_owed = False  # something was sent after the last bytes were received
        self.client = _Client(self, client_id)

    # -- the loop's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self.is_owed = False
        for packet in self._splitter.feed(data):
            if isinstance(packet, Message):
                self._receive(packet)
            elif isinstance(packet, TooLarge):
                log.warning("message dropped: too large", bytes=packet.size)
                self._write(packet.acknowledgement)
            elif (acknowledged(packet) or 0) < _FIRST_ID:  # not a PUBACK for this module's packet
                self._packet = packet
                self.client.loop_read()
                if self.client.want_write():  # a callback of paho has sent something
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
            log.warning("message dropped: its topic is not UTF-8")
            return
        self._on_message(topic, message.payload, message.retain)

    # -- the application's side ----------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that the network has not accepted yet."""
        return self._unsent + self._transport.get_write_buffer_size()

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """Send a message at QoS 0 or 1."""
        packet_id = next(self._ids) if qos else 0
        self._write(publish_head(topic, len(payload), qos, retain, packet_id))
        self._write(payload)

    def ping(self) -> None:
        """Request a PINGRESP from the broker."""
        self._write(PINGREQ)

    def close(self) -> None:
        """Write what is pending, then close. paho calls this, too."""
        self._flush()
        self._transport.close()

    async def closed(self, seconds: float) -> None:
        """Wait, after `close`, until everything is sent. After `seconds`, discard the rest."""
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
        self.sent += len(data)
        self.is_owed = True

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            # Not `writelines`, of which TLS sends each line as a record of its own.
            self._transport.write(b"".join(self._out))
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
        return -1  # no descriptor to wait for

    def setblocking(self, blocking: bool) -> None:
        """Do nothing: this socket never blocks."""


class _Client(paho.Client):
    """paho's client, on a wire instead of its own socket."""

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
