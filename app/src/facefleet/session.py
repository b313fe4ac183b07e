"""One MQTT session, from connecting to its end, on the running asyncio loop."""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from paho.mqtt.client import MQTTMessage, topic_matches_sub

from facefleet.logging import log
from facefleet.wire import Wire

KEEPALIVE = 10  # seconds; a dead link is noticed within twice that time after something was sent
IDLE = 75  # seconds without a byte sent to the broker until a ping
MIN_TIMEOUT, MAX_TIMEOUT = 5, 30  # seconds for a response; doubled after each timeout
CLOSE_TIMEOUT = 1  # second for the DISCONNECT and for TLS to close


@dataclass(frozen=True)
class Broker:
    """The address of a broker."""

    host: str
    port: int
    tls: Path | None
    """The folder with the client's certificate and the CA that the broker is verified against."""

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Will:
    """The message that the broker retains if the connection ends without a DISCONNECT."""

    topic: str
    payload: bytes


class Timeout:
    """The time to wait for a response, in seconds, adapted to slow links across sessions."""

    def __init__(self) -> None:
        self.seconds: float = MIN_TIMEOUT

    def expired(self) -> None:
        """Lengthen the timeout after a response did not arrive in time."""
        self.seconds = min(2 * self.seconds, MAX_TIMEOUT)

    def connected(self, took: float) -> None:
        """Lengthen the timeout if connecting took long, as the handshake is still to come."""
        self.seconds = max(self.seconds, min(4 * took, MAX_TIMEOUT))

    def is_up(self, took: float) -> None:
        """Derive the timeout from the connection time, as the whole handshake has succeeded."""
        self.seconds = max(MIN_TIMEOUT, min(4 * took, MAX_TIMEOUT))


class End(NamedTuple):
    """How a session ended."""

    sentence: str
    was_up: bool = False
    cut: bool = False
    """Whether the broker closed the connection after accepting it."""


class Session:
    """One attempt to stay connected, with a new client. Call `run` once.

    The callbacks run on the loop: `on_message(topic, payload, retain)`; `on_up()` once every
    subscription has been granted.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        subscriptions: Sequence[tuple[str, int]],
        will: Will | None,
        timeout: Timeout,
        on_message: Callable[[str, bytes, bool], None],
        on_up: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._subscriptions = list(subscriptions)
        self._filters = [re.sub(r"^\$share/[^/]+/", "", topics) for topics, _ in subscriptions]
        self._timeout = timeout
        self._on_message, self._on_up = on_message, on_up
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._took = 0.0  # seconds to connect
        self._accepted = self._was_up = self._cut = False
        self.is_up = False
        self.wire = Wire(client_id, self._receive, self._lost)
        client = self.wire.client
        client.max_inflight_messages_set(65_535)
        if will:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_subscribe, client.on_message = self._subscribed, self._received

    async def run(self) -> End:
        """Connect and wait until the session ends. If cancelled, disconnect without the will."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await self._open()
        except _ConnectError as error:
            return End(str(error))
        self._took = loop.time() - began
        self._timeout.connected(self._took)
        keep_alive = min(max(KEEPALIVE, 4 * self._took), 6 * KEEPALIVE)
        client = self.wire.client
        # Brokers disconnect clients that are silent for one and a half times as long.
        client.connect(self._broker.host, self._broker.port, round(IDLE + keep_alive))
        watch = asyncio.create_task(self._keep_alive(keep_alive))
        try:
            sentence = await self._ended
        finally:
            watch.cancel()
            self.is_up = False
            client.on_disconnect = None
            client.disconnect()
            self.wire.close()
            await self.wire.closed(max(CLOSE_TIMEOUT, min(4 * self._took, MIN_TIMEOUT)))
        return End(sentence, self._was_up, self._cut)

    # -- connecting ----------------------------------------------------------------------------

    async def _open(self) -> None:
        """Connect the wire, with TLS if configured. Raises _ConnectError."""
        context = self._context()
        loop = asyncio.get_running_loop()
        host, port, address = self._broker.host, self._broker.port, self._broker.address
        step = "a response"
        try:
            async with asyncio.timeout(self._timeout.seconds):
                transport, _ = await loop.create_connection(
                    asyncio.Protocol if context else lambda: self.wire, host, port
                )
            if context:
                step = "TLS"
                async with asyncio.timeout(self._timeout.seconds):
                    transport = await loop.start_tls(
                        transport, self.wire, context, server_hostname=host
                    )
                self.wire.connection_made(transport)
        except TimeoutError as error:
            waited = self._timeout.seconds
            self._timeout.expired()
            raise _ConnectError(
                f"cannot connect to {address} ({step} took more than {waited:g} s): is the link up?"
            ) from error
        except ssl.SSLError as error:
            raise _ConnectError(
                f"the server at {address} is not the fleet's broker ({_reason(error)}): "
                "check the address and the broker's certificate"
            ) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: not a valid host name
            raise _ConnectError(
                f"cannot connect to {address} ({_reason(error)}): is the broker running?"
            ) from error

    def _context(self) -> ssl.SSLContext | None:
        """Load the certificate's files. Raises _ConnectError if one is missing or invalid."""
        folder = self._broker.tls
        if folder is None:
            return None
        try:
            authority, certificate, key = (
                folder / name for name in ("ca.crt", "tls.crt", "tls.key")
            )
            for file in (authority, certificate, key):
                file.open("rb").close()  # ssl does not report which file is missing
            context = ssl.create_default_context(cafile=authority)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate, key)
        except OSError as error:  # ssl.SSLError, too
            which = f"{Path(error.filename).name}: " if error.filename else ""
            raise _ConnectError(
                f"cannot use the certificate in {folder} ({which}{_reason(error)}): "
                "issue it again (site.yml does)"
            ) from error
        return context

    # -- callbacks of paho and the wire --------------------------------------------------------

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._accepted = not reason.is_failure
        if reason.is_failure:
            self._end(f"the broker at {self._broker.address} refuses the connection ({reason})")
        elif self._subscriptions:
            self.wire.client.subscribe(self._subscriptions)
        else:
            self._up()

    def _subscribed(self, _client: Any, _data: Any, _id: Any, reasons: Any, _more: Any) -> None:
        if refused := [reason for reason in reasons if reason.is_failure]:
            self._end(f"the broker at {self._broker.address} refuses a subscription ({refused[0]})")
        elif not self.is_up:
            self._up()

    def _received(self, _client: Any, _data: Any, message: MQTTMessage) -> None:
        """Handle a message at QoS 2."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            log.warning("message dropped: its topic is not UTF-8")
            return
        self._receive(topic, message.payload, message.retain)

    def _receive(self, topic: str, payload: bytes, retain: bool) -> None:
        # amqtt sends retained messages of one subscription to all of them.
        if not retain or any(topic_matches_sub(topics, topic) for topics in self._filters):
            self._on_message(topic, payload, retain)

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._end(self._over(reason))

    def _lost(self, error: Exception | None) -> None:
        if self._ended.done():  # this side closed the connection
            return
        if isinstance(error, ssl.SSLError):
            address = self._broker.address
            self._end(f"the broker at {address} refuses this certificate ({_reason(error)})")
        elif error is None or isinstance(error, OSError):
            self._cut = self._accepted and isinstance(error, ConnectionResetError | None)
            self._end(self._over(_reason(error) if error else "by the broker"))
        else:  # a bug in a callback, which the loop would swallow
            self._ended.set_exception(error)

    # -- while connected -----------------------------------------------------------------------

    def _up(self) -> None:
        self._was_up = self.is_up = True
        self._timeout.is_up(self._took)
        self._on_up()

    def _over(self, reason: object) -> str:
        return f"the connection to {self._broker.address} ended ({reason}): is the broker running?"

    def _end(self, sentence: str) -> None:
        self.is_up = False
        if not self._ended.done():
            self._ended.set_result(sentence)

    async def _keep_alive(self, seconds: float) -> None:
        """Ping the broker. End the session if no bytes arrive and the network accepts none.

        Pings take a large part of what an idle device sends over its uplink. So they are rare
        unless something was sent to which the broker has not reacted.
        """
        wire = self.wire
        received, unsent, sent = 0, 0, 0
        # Turns of a second each, as the process may have been suspended.
        quiet = owed = idle = 0
        while True:
            await asyncio.sleep(1)
            heard = wire.received > received
            progress = heard or wire.unsent < unsent
            # A broker ends a connection on which it hears nothing, whatever it sends itself.
            idle = 0 if wire.sent > sent else idle + 1
            received, unsent, sent = wire.received, wire.unsent, wire.sent
            quiet = quiet + 1 if wire.is_owed and not progress else 0
            # Not from the last byte on: after a long silence, an answer is only due from now on.
            owed = owed + 1 if wire.is_owed and not heard else 0
            limit = 2 * seconds if received else self._timeout.seconds
            if quiet > limit:
                if not received:
                    self._timeout.expired()
                self._end(
                    f"the connection to {self._broker.address} ended "
                    f"(no response for {limit:.3g} s): is the link up?"
                )
            if owed >= seconds / 2 or idle >= IDLE:
                wire.ping()
                owed = idle = 0


class _ConnectError(Exception):
    """Connecting failed; the message is a sentence."""


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
