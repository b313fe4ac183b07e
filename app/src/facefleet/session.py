"""One connection to an MQTT broker, from its start to its end, on the running asyncio loop."""

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

KEEPALIVE = 10  # seconds; a link that swallows everything is noticed within twice that
PATIENCE, MOST_PATIENCE = 5, 30  # seconds for an answer; doubled at each attempt without one
GOODBYE = 1  # second for the last words, which TLS has too


@dataclass(frozen=True)
class Broker:
    """Where a broker is."""

    host: str
    port: int
    tls: Path | None
    """The folder of the certificate that it is shown, and of the authority that it is held to."""

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Will:
    """What the broker says, retained, when the connection ends without a goodbye."""

    topic: str
    payload: bytes


class Patience:
    """How long an answer is waited for: learned from session to session, for links are slow."""

    def __init__(self) -> None:
        self.seconds: float = PATIENCE

    def lengthen(self) -> None:
        self.seconds = min(2 * self.seconds, MOST_PATIENCE)

    def connected(self, took: float) -> None:
        """It took so many seconds to connect, and more is to come."""
        self.seconds = max(self.seconds, min(4 * took, MOST_PATIENCE))

    def is_up(self, took: float) -> None:
        """The whole start went well, of which connecting took so many seconds."""
        self.seconds = max(PATIENCE, min(4 * took, MOST_PATIENCE))


class End(NamedTuple):
    """How a session ended."""

    sentence: str
    was_up: bool = False
    cut: bool = False
    """Whether the broker ended it, after it had accepted it."""


class Session:
    """One attempt to be connected, with a fresh client: `run` it once.

    The callbacks run on the loop: `on_message(topic, payload, retain)`; `on_up()` when every
    subscription has been granted.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        subscriptions: Sequence[tuple[str, int]],
        will: Will | None,
        patience: Patience,
        on_message: Callable[[str, bytes, bool], None],
        on_up: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._subscriptions = list(subscriptions)
        self._filters = [re.sub(r"^\$share/[^/]+/", "", topics) for topics, _ in subscriptions]
        self._patience = patience
        self._on_message, self._on_up = on_message, on_up
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._took = 0.0  # seconds to connect
        self._welcome = self._was_up = self._cut = False
        self.is_up = False
        self.wire = Wire(client_id, self._receive, self._lost)
        client = self.wire.client
        client.max_inflight_messages_set(65_535)
        if will:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_subscribe, client.on_message = self._subscribed, self._received

    async def run(self) -> End:
        """Be connected until that ends; cancelled, say goodbye: the will is not sent."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await self._open()
        except _ConnectError as error:
            return End(str(error))
        self._took = loop.time() - began
        self._patience.connected(self._took)
        # Mosquitto ends who says nothing for one and a half times as long.
        keep_alive = min(max(KEEPALIVE, 4 * self._took), 6 * KEEPALIVE)
        client = self.wire.client
        client.connect(self._broker.host, self._broker.port, round(keep_alive))
        watch = asyncio.create_task(self._keep_alive(keep_alive))
        try:
            sentence = await self._ended
        finally:
            watch.cancel()
            self.is_up = False
            client.on_disconnect = None
            client.disconnect()
            self.wire.close()
            await self.wire.closed(max(GOODBYE, min(4 * self._took, PATIENCE)))
        return End(sentence, self._was_up, self._cut)

    # -- the start -----------------------------------------------------------------------------

    async def _open(self) -> None:
        """Raises _ConnectError."""
        context = self._context()
        loop = asyncio.get_running_loop()
        host, port, address = self._broker.host, self._broker.port, self._broker.address
        what = "an answer"
        try:
            async with asyncio.timeout(self._patience.seconds):
                transport, _ = await loop.create_connection(
                    asyncio.Protocol if context else lambda: self.wire, host, port
                )
            if context:
                what = "TLS"
                async with asyncio.timeout(self._patience.seconds):
                    transport = await loop.start_tls(
                        transport, self.wire, context, server_hostname=host
                    )
                self.wire.connection_made(transport)
        except TimeoutError as error:
            waited = self._patience.seconds
            self._patience.lengthen()
            raise _ConnectError(
                f"cannot connect to {address} ({what} took more than {waited:g} s): is the link up?"
            ) from error
        except ssl.SSLError as error:
            raise _ConnectError(
                f"what answers at {address} is not the fleet's broker ({_reason(error)})"
            ) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: no name for DNS
            raise _ConnectError(
                f"cannot connect to {address} ({_reason(error)}): is a broker there?"
            ) from error

    def _context(self) -> ssl.SSLContext | None:
        """Raises _ConnectError where a file of the certificate is missing or bad."""
        folder = self._broker.tls
        if folder is None:
            return None
        try:
            authority, certificate, key = (
                folder / name for name in ("ca.crt", "tls.crt", "tls.key")
            )
            for file in (authority, certificate, key):
                file.open("rb").close()  # ssl does not say which one is missing
            context = ssl.create_default_context(cafile=authority)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate, key)
        except OSError as error:  # ssl.SSLError, too
            which = f"{Path(error.filename).name}: " if error.filename else ""
            raise _ConnectError(
                f"cannot use the certificate in {folder} ({which}{_reason(error)})"
            ) from error
        return context

    # -- what paho and the wire call -----------------------------------------------------------

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._welcome = not reason.is_failure
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
        """A message at QoS 2."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            log.warning("a message whose topic is not UTF-8 was dropped")
            return
        self._receive(topic, message.payload, message.retain)

    def _receive(self, topic: str, payload: bytes, retain: bool) -> None:
        # amqtt sends what is retained for one subscription to all.
        if not retain or any(topic_matches_sub(topics, topic) for topics in self._filters):
            self._on_message(topic, payload, retain)

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._end(self._over(reason))

    def _lost(self, error: Exception | None) -> None:
        if self._ended.done():  # it was ended from here
            return
        if isinstance(error, ssl.SSLError):
            address = self._broker.address
            self._end(f"the broker at {address} refuses this certificate ({_reason(error)})")
        elif error is None or isinstance(error, OSError):
            self._cut = self._welcome and isinstance(error, ConnectionResetError | None)
            self._end(self._over(_reason(error) if error else "by the broker"))
        else:  # a defect in a callback: it must not be lost in the loop
            self._ended.set_exception(error)

    # -- what happens then ---------------------------------------------------------------------

    def _up(self) -> None:
        self._was_up = self.is_up = True
        self._patience.is_up(self._took)
        self._on_up()

    def _over(self, reason: object) -> str:
        return f"the connection to {self._broker.address} ended ({reason}): is the broker running?"

    def _end(self, sentence: str) -> None:
        self.is_up = False
        if not self._ended.done():
            self._ended.set_result(sentence)

    async def _keep_alive(self, seconds: float) -> None:
        """Give sign of life; end where none comes: no byte back, and none taken by the network."""
        wire = self.wire
        received, unsent, quiet, silent = 0, 0, 0, 0
        while True:
            await asyncio.sleep(1)
            moves = wire.received > received or wire.unsent < unsent
            received, unsent = wire.received, wire.unsent
            quiet = 0 if moves else quiet + 1  # turns, not time: this process may have been frozen
            silent += 1
            limit = 2 * seconds if received else self._patience.seconds
            if quiet > limit:
                if not received:
                    self._patience.lengthen()
                self._end(
                    f"the connection to {self._broker.address} ended "
                    f"(no sign of life for {limit:.3g} s): is the link up?"
                )
            if silent >= seconds / 2:
                wire.ping()
                silent = 0


class _ConnectError(Exception):
    """A sentence that says why."""


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
