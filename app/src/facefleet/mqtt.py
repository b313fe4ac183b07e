"""An MQTT connection that reconnects by itself, on the running asyncio loop."""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from paho.mqtt.client import MQTT_ERR_SUCCESS
from pydantic import AnyUrl

from facefleet.codec import MAX_PAYLOAD_BYTES
from facefleet.logging import log
from facefleet.session import Broker, Session, Timeout, Will

FIRST_DELAY, LAST_DELAY = 0.25, 15  # seconds between attempts
MAX_CUTS = 3  # consecutive times that a reachable broker closes the connection before backing off
CUT_OFF_DELAY = 600  # seconds between attempts after that, at most
PROBE_TIMEOUT = 5  # seconds to find out whether the broker is reachable
MAX_UNSENT = 32 << 20  # bytes published that the network has not accepted yet


class Connection:
    """A connection to one broker that reconnects by itself.

    Each attempt uses a new client with a clean session. Nothing is queued across connections, so
    the caller must resend what was in flight. The callbacks run on the loop:
    `on_message(topic, payload, retain)`; `on_up()` once every subscription has been granted;
    `on_down(sentence)` when the connection or an attempt has failed.

    With mqtts://, the broker's certificate must match its name, and the client presents the
    certificate in the folder `tls`. Its files are read at each attempt, so that a renewed
    certificate takes effect without a restart.
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
        host = broker.host.strip("[]")
        self._broker = Broker(host, broker.port, tls if broker.scheme == "mqtts" else None)
        self._client_id = client_id
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._on_up, self._on_down = on_up, on_down
        self._will = will
        self._timeout = Timeout()
        self._session: Session | None = None
        self._cuts = 0

    @property
    def is_up(self) -> bool:
        return self._session is not None and self._session.is_up

    async def run(self) -> None:
        """Keep the connection up until cancelled, then disconnect without triggering the will."""
        delay = FIRST_DELAY
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._session = Session(
                self._broker,
                self._client_id,
                self._subscriptions,
                self._will,
                self._timeout,
                self._on_message,
                self._on_up,
            )
            sentence, was_up, cut = await self._session.run()
            if not cut or loop.time() - began > 4 * delay + LAST_DELAY:
                self._cuts = 0
            if cut and await self._is_reachable():
                self._cuts += 1
                sentence = f"the broker at {self._broker.address} closed the connection"
                if self._cuts >= MAX_CUTS:
                    sentence = self._cut_off()
            self._on_down(sentence)
            if self._cuts >= MAX_CUTS:  # let the other client with this name work meanwhile
                delay = min(2 * delay, CUT_OFF_DELAY)
            else:
                delay = FIRST_DELAY if was_up else min(2 * delay, LAST_DELAY)
            await asyncio.sleep(delay * random.uniform(0.5, 1))

    def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> bool:
        """Hand a message to the socket. Return False if the message was dropped.

        That is so if the connection is down or too slow, or if the message is so large that the
        broker would close the connection.
        """
        if not self.is_up or self._session.wire.unsent > MAX_UNSENT:
            return False
        if len(payload) > MAX_PAYLOAD_BYTES:
            log.warning("message dropped: too large", bytes=len(payload))
            return False
        if qos == 2:
            sent = self._session.wire.client.publish(topic, payload, qos, retain)
            return sent.rc == MQTT_ERR_SUCCESS
        self._session.wire.publish(topic, payload, qos, retain)
        return True

    def retained(self, topics: str, qos: int = 0, *, keep: bool = True) -> None:
        """Have the broker resend its retained messages; `keep`: stay subscribed to `topics`."""
        if self.is_up:
            self._session.wire.client.subscribe(topics, qos)
            if not keep:
                self._session.wire.client.unsubscribe(topics)

    async def _is_reachable(self) -> bool:
        """Return whether the broker accepts a TCP connection."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, self._broker.host, self._broker.port
                )
        except OSError:
            return False
        transport.abort()
        return True

    def _cut_off(self) -> str:
        return (
            f"the broker at {self._broker.address} is reachable but keeps closing this connection: "
            f"check that no other client uses the name {self._client_id} (a second device of this "
            "name, a copied SD card), and that the broker accepts messages of 1 MiB"
        )
