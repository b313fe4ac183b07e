"""The door to MQTT: one connection that keeps itself up, on the running asyncio loop."""

import asyncio
import random
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTTMessage, topic_matches_sub
from pydantic import AnyUrl

from facefleet.codec import LARGEST_PAYLOAD
from facefleet.logging import log
from facefleet.wire import Wire

KEEPALIVE = 10  # seconds; a link that swallows everything is noticed within twice that
PATIENCE, MOST_PATIENCE = 5, 30  # seconds for an answer; doubled at each attempt without one
GOODBYE = 1  # second for the last words, which TLS has too
FIRST_DELAY, LAST_DELAY = 0.25, 15  # seconds between attempts
CUTS = 3  # times in a row that a broker which is there ends the connection: there is a reason
LONGEST_DELAY = 600  # seconds, where there is one
MAX_UNSENT = 32 << 20  # bytes handed over that the network has not taken yet


@dataclass(frozen=True)
class Will:
    """What the broker says, retained, when the connection ends without a goodbye."""

    topic: str
    payload: bytes


class Connection:
    """A connection to one broker that comes back by itself.

    Each attempt uses a fresh client with a clean session: nothing is queued across connections, so
    what was under way is the caller's to send again. The callbacks run on the loop:
    `on_message(topic, payload, retain)`; `on_up()` when every subscription has been granted;
    `on_down(sentence)` when the connection or an attempt failed.

    A broker at mqtts:// has to prove its name, and is shown the certificate in the folder `tls`.
    The files there are read at each attempt: a renewed one is taken up without a restart.
    """

    def __init__(
        self,
        broker: AnyUrl,
        client_id: str,
        *,
        subscriptions: Sequence[tuple[str, int]] = (),
        on_message: Callable[[str, bytes, bool], None] = lambda _topic, _payload, _retain: None,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[str], None] = lambda _sentence: None,
        will: Will | None = None,
        tls: Path | None = None,
    ) -> None:
        self._tls = tls if broker.scheme == "mqtts" else None
        self._host, self._port = broker.host.strip("[]"), broker.port
        self._address = f"{broker.host}:{self._port}"
        self._client_id = client_id
        self._subscriptions = list(subscriptions)
        self._on_message = on_message
        self._on_up, self._on_down = on_up, on_down
        self._will = will
        self._wire: Wire | None = None
        self._patience: float = PATIENCE
        self._cuts = 0
        self.is_up = False

    async def run(self) -> None:
        """Keep the connection up until cancelled, then say goodbye: the will is not sent."""
        delay = FIRST_DELAY
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            was_up, sentence, cut = await self._session()
            if not cut or loop.time() - began > 4 * delay + LAST_DELAY:
                self._cuts = 0
            if cut and await self._is_there():
                self._cuts += 1
                sentence = f"the broker at {self._address} ended the connection"
                if self._cuts >= CUTS:
                    sentence = self._cut_off()
            self._on_down(sentence)
            if self._cuts >= CUTS:  # whoever else has the name works meanwhile
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                delay = FIRST_DELAY if was_up else min(2 * delay, LAST_DELAY)
            await asyncio.sleep(delay * random.uniform(0.5, 1))

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> bool:
        """Hand a message to the socket; False where it was dropped.

        The connection is down or too slow, or the message so large that the broker would end it.
        """
        if not self.is_up or self._wire.unsent > MAX_UNSENT:
            return False
        if len(payload) > LARGEST_PAYLOAD:
            log.warning("a message was dropped, for it is too large", bytes=len(payload))
            return False
        if qos == 2:
            return self._wire.client.publish(topic, payload, qos, retain).rc == MQTT_ERR_SUCCESS
        self._wire.publish(topic, payload, qos, retain)
        return True

    def retained(self, topics: str, qos: int = 0, *, keep: bool = True) -> None:
        """Have the broker send its retained messages again; `keep`: stay subscribed to them."""
        if self.is_up:
            self._wire.client.subscribe(topics, qos)
            if not keep:
                self._wire.client.unsubscribe(topics)

    async def _is_there(self) -> bool:
        """Whether the broker answers at all."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE):
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, self._host, self._port
                )
        except OSError:
            return False
        transport.abort()
        return True

    def _cut_off(self) -> str:
        return (
            f"the broker at {self._address} is there and ends this connection again and again: "
            f"see that no other client uses the name {self._client_id} (a second device of this "
            "name, a copied card), and that the broker takes messages of a megabyte"
        )

    async def _session(self) -> tuple[bool, str, bool]:
        """One connection from start to end: whether it was up, why it ended, and by the broker."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()
        welcome = cut = False

        def end(sentence: str) -> None:
            self.is_up = False
            if not ended.done():
                ended.set_result(sentence)

        def lost(error: Exception | None) -> None:
            nonlocal cut
            if ended.done():  # it was ended from here
                return
            if isinstance(error, ssl.SSLError):
                end(f"the broker at {self._address} refuses this certificate ({_reason(error)})")
            elif error is None or isinstance(error, OSError):
                cut = welcome and isinstance(error, ConnectionResetError | None)
                reason = _reason(error) if error else "by the broker"
                end(f"the connection to {self._address} ended ({reason}): is the broker running?")
            else:  # a defect in a callback: it must not be lost in the loop
                ended.set_exception(error)

        def receive(topic: str, payload: bytes, retain: bool) -> None:
            # amqtt sends what is retained for one subscription to all.
            if not retain or any(topic_matches_sub(filter, topic) for filter in filters):
                self._on_message(topic, payload, retain)

        filters = [re.sub(r"^\$share/[^/]+/", "", filter) for filter, _ in self._subscriptions]
        wire = Wire(self._client_id, receive, lost)
        client = wire.client
        client.max_inflight_messages_set(65_535)
        if self._will:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        was_up = False

        def up() -> None:
            nonlocal was_up
            was_up = self.is_up = True
            self._patience = max(PATIENCE, min(4 * took, MOST_PATIENCE))
            self._on_up()

        def on_connect(_client, _userdata, _flags, reason, _properties) -> None:
            nonlocal welcome
            welcome = not reason.is_failure
            if reason.is_failure:
                end(f"the broker at {self._address} refuses the connection ({reason})")
            elif self._subscriptions:
                client.subscribe(self._subscriptions)
            else:
                up()

        def on_subscribe(_client, _userdata, _mid, reasons, _properties) -> None:
            if refused := [r for r in reasons if r.is_failure]:
                end(f"the broker at {self._address} refuses a subscription ({refused[0]})")
            elif not self.is_up:
                up()

        def on_message(_client, _userdata, message: MQTTMessage) -> None:
            try:
                topic = message.topic
            except UnicodeDecodeError:
                log.warning("a message whose topic is not UTF-8 was dropped")
                return
            receive(topic, message.payload, message.retain)

        client.on_connect, client.on_subscribe = on_connect, on_subscribe
        client.on_disconnect = lambda *args: end(
            f"the connection to {self._address} ended ({args[3]}): is the broker running?"
        )
        client.on_message = on_message

        try:
            context = _context(self._tls) if self._tls else None
        except OSError as error:
            which = f"{Path(error.filename).name}: " if error.filename else ""
            sentence = f"cannot use the certificate in {self._tls} ({which}{_reason(error)})"
            return False, sentence, False
        began = loop.time()
        try:
            await self._open(wire, context)
        except _ConnectError as error:
            return False, str(error), False
        took = loop.time() - began
        self._patience = max(self._patience, min(4 * took, MOST_PATIENCE))
        # Mosquitto ends who says nothing for one and a half times as long.
        keep_alive = min(max(KEEPALIVE, 4 * took), 6 * KEEPALIVE)
        client.connect(self._host, self._port, round(keep_alive))
        self._wire = wire
        watch = asyncio.create_task(self._keep_alive(wire, keep_alive, end))
        try:
            sentence = await ended
        finally:
            watch.cancel()
            self.is_up = False
            client.on_disconnect = None
            client.disconnect()
            wire.close()
            await wire.closed(max(GOODBYE, min(4 * took, PATIENCE)))
        return was_up, sentence, cut

    async def _open(self, wire: Wire, context: ssl.SSLContext | None) -> None:
        """Raises _ConnectError."""
        loop = asyncio.get_running_loop()
        what = "an answer"
        try:
            async with asyncio.timeout(self._patience):
                transport, _ = await loop.create_connection(
                    asyncio.Protocol if context else lambda: wire, self._host, self._port
                )
            if context:
                what = "TLS"
                async with asyncio.timeout(self._patience):
                    transport = await loop.start_tls(
                        transport, wire, context, server_hostname=self._host
                    )
                wire.connection_made(transport)
        except TimeoutError as error:
            waited = self._patience
            self._patience = min(2 * waited, MOST_PATIENCE)
            raise _ConnectError(
                f"cannot connect to {self._address} ({what} took more than {waited:g} s): "
                "is the link up?"
            ) from error
        except ssl.SSLError as error:
            raise _ConnectError(
                f"what answers at {self._address} is not the fleet's broker ({_reason(error)})"
            ) from error
        except (OSError, UnicodeError) as error:  # UnicodeError: no name for DNS
            raise _ConnectError(
                f"cannot connect to {self._address} ({_reason(error)}): is a broker there?"
            ) from error

    async def _keep_alive(self, wire: Wire, seconds: float, end: Callable[[str], None]) -> None:
        """Give sign of life; end where none comes: no byte back, and none taken by the network."""
        received, unsent, quiet, silent = 0, 0, 0, 0
        while True:
            await asyncio.sleep(1)
            moves = wire.received > received or wire.unsent < unsent
            received, unsent = wire.received, wire.unsent
            quiet = 0 if moves else quiet + 1  # turns, not time: this process may have been frozen
            silent += 1
            limit = 2 * seconds if received else self._patience
            if quiet > limit:
                if not received:
                    self._patience = min(2 * limit, MOST_PATIENCE)
                end(
                    f"the connection to {self._address} ended "
                    f"(no sign of life for {limit:.3g} s): is the link up?"
                )
            if silent >= seconds / 2:
                wire.ping()
                silent = 0


class _ConnectError(Exception):
    """A sentence that says why."""


def _context(folder: Path) -> ssl.SSLContext:
    """Raises OSError (also ssl.SSLError) where a file is missing or bad."""
    authority, certificate, key = (folder / name for name in ("ca.crt", "tls.crt", "tls.key"))
    for file in (authority, certificate, key):
        file.open("rb").close()  # ssl does not say which one is missing
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
