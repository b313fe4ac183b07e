"""The door to MQTT: one connection that keeps itself up, on the running asyncio loop."""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTMessage
from pydantic import AnyUrl

from facefleet.telemetry import log
from facefleet.wire import LARGEST_PAYLOAD, Wire

KEEPALIVE = 10  # seconds; a link that swallows everything is noticed within twice that
CONNECT_TIMEOUT = 3  # seconds
GOODBYE = 1  # second for the last words, which TLS has too
FIRST_DELAY, LAST_DELAY = 0.25, 15  # seconds between attempts
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
        self._host, self._port = broker.host, broker.port
        self._address = f"{self._host}:{self._port}"
        self._client_id = client_id
        self._subscriptions = list(subscriptions)
        self._on_message = on_message
        self._on_up, self._on_down = on_up, on_down
        self._will = will
        self._wire: Wire | None = None
        self.is_up = False

    async def run(self) -> None:
        """Keep the connection up until cancelled, then say goodbye: the will is not sent."""
        delay = FIRST_DELAY
        while True:
            was_up, sentence = await self._session()
            self._on_down(sentence)
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

    async def _session(self) -> tuple[bool, str]:
        """One connection from start to end: whether it was up, and why it ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()

        def end(sentence: str) -> None:
            self.is_up = False
            if not ended.done():
                ended.set_result(sentence)

        def lost(error: Exception | None) -> None:
            if isinstance(error, ssl.SSLError):
                end(f"the broker at {self._address} refuses this certificate ({_reason(error)})")
            elif error is None or isinstance(error, OSError):
                reason = error or "by the broker"
                end(f"the connection to {self._address} ended ({reason}): is the broker running?")
            elif not ended.done():  # a defect in a callback: it must not be lost in the loop
                ended.set_exception(error)

        wire = Wire(self._client_id, self._on_message, lost)
        client = wire.client
        client.max_inflight_messages_set(65_535)
        if self._will:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        was_up = False

        def up() -> None:
            nonlocal was_up
            was_up = self.is_up = True
            self._on_up()

        def on_connect(_client, _userdata, _flags, reason, _properties) -> None:
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
            self._on_message(topic, message.payload, message.retain)

        client.on_connect, client.on_subscribe = on_connect, on_subscribe
        client.on_disconnect = lambda *args: end(
            f"the connection to {self._address} ended ({args[3]}): is the broker running?"
        )
        client.on_message = on_message

        try:
            context = _context(self._tls) if self._tls else None
        except OSError as error:
            which = f"{Path(error.filename).name}: " if error.filename else ""
            return False, f"cannot use the certificate in {self._tls} ({which}{_reason(error)})"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.create_connection(lambda: wire, self._host, self._port, ssl=context)
        except ssl.SSLError as error:
            reason = _reason(error)
            return False, f"what answers at {self._address} is not the fleet's broker ({reason})"
        except (OSError, UnicodeError) as error:  # UnicodeError: no name for DNS
            return (
                False,
                f"cannot connect to {self._address} ({_reason(error)}): is a broker there?",
            )
        client.connect(self._host, self._port, KEEPALIVE)
        self._wire = wire
        keep_alive = asyncio.create_task(_keep_alive(client))
        try:
            sentence = await ended
        finally:
            keep_alive.cancel()
            self.is_up = False
            client.on_disconnect = None
            client.disconnect()
            wire.close()
            await wire.closed(GOODBYE)
        return was_up, sentence


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
    return str(getattr(error, "strerror", None) or error or "no answer")


async def _keep_alive(client: Client) -> None:
    while True:
        await asyncio.sleep(1)
        client.loop_misc()
