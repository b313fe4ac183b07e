"""The door to MQTT: one connection that keeps itself up, on the running asyncio loop."""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from paho.mqtt.client import MQTT_ERR_SUCCESS
from pydantic import AnyUrl

from facefleet.codec import LARGEST_PAYLOAD
from facefleet.logging import log
from facefleet.session import Broker, Patience, Session, Will

FIRST_DELAY, LAST_DELAY = 0.25, 15  # seconds between attempts
CUTS = 3  # times in a row that a broker which is there ends the connection: there is a reason
LONGEST_DELAY = 600  # seconds, where there is one
THERE = 5  # seconds for a broker to answer who only asks whether it is there
MAX_UNSENT = 32 << 20  # bytes handed over that the network has not taken yet


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
        host = broker.host.strip("[]")
        self._broker = Broker(host, broker.port, tls if broker.scheme == "mqtts" else None)
        self._client_id = client_id
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._on_up, self._on_down = on_up, on_down
        self._will = will
        self._patience = Patience()
        self._session: Session | None = None
        self._cuts = 0

    @property
    def is_up(self) -> bool:
        return self._session is not None and self._session.is_up

    async def run(self) -> None:
        """Keep the connection up until cancelled, then say goodbye: the will is not sent."""
        delay = FIRST_DELAY
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._session = Session(
                self._broker,
                self._client_id,
                self._subscriptions,
                self._will,
                self._patience,
                self._on_message,
                self._on_up,
            )
            sentence, was_up, cut = await self._session.run()
            if not cut or loop.time() - began > 4 * delay + LAST_DELAY:
                self._cuts = 0
            if cut and await self._is_there():
                self._cuts += 1
                sentence = f"the broker at {self._broker.address} ended the connection"
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
        if not self.is_up or self._session.wire.unsent > MAX_UNSENT:
            return False
        if len(payload) > LARGEST_PAYLOAD:
            log.warning("a message was dropped, for it is too large", bytes=len(payload))
            return False
        if qos == 2:
            sent = self._session.wire.client.publish(topic, payload, qos, retain)
            return sent.rc == MQTT_ERR_SUCCESS
        self._session.wire.publish(topic, payload, qos, retain)
        return True

    def retained(self, topics: str, qos: int = 0, *, keep: bool = True) -> None:
        """Have the broker send its retained messages again; `keep`: stay subscribed to them."""
        if self.is_up:
            self._session.wire.client.subscribe(topics, qos)
            if not keep:
                self._session.wire.client.unsubscribe(topics)

    async def _is_there(self) -> bool:
        """Whether the broker answers at all."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(THERE):
                transport, _ = await loop.create_connection(
                    asyncio.Protocol, self._broker.host, self._broker.port
                )
        except OSError:
            return False
        transport.abort()
        return True

    def _cut_off(self) -> str:
        return (
            f"the broker at {self._broker.address} is there and ends this connection again and "
            f"again: see that no other client uses the name {self._client_id} (a second device of "
            "this name, a copied card), and that the broker takes messages of a megabyte"
        )
