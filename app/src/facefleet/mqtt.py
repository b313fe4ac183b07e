"""The door to MQTT: one connection that keeps itself up, on the running asyncio loop."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import paho.mqtt.client as paho
from pydantic import AnyUrl

from facefleet.telemetry import log

KEEPALIVE = 10  # seconds; a link that swallows everything is noticed within twice that
CONNECT_TIMEOUT = 3  # seconds
FIRST_DELAY, LAST_DELAY = 0.25, 15  # seconds between attempts
MAX_UNSENT = 8192  # messages handed to the socket's queue and not written yet


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
    """

    def __init__(
        self,
        broker: AnyUrl,
        client_id: str,
        *,
        subscriptions: Sequence[tuple[str, int]] = (),
        on_message: Callable[[str, bytes, bool], None] | None = None,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[str], None] = lambda _sentence: None,
        will: Will | None = None,
    ) -> None:
        self._host, self._port = broker.host, broker.port
        self._address = f"{self._host}:{self._port}"
        self._client_id = client_id
        self._subscriptions = list(subscriptions)
        self._on_message = on_message
        self._on_up, self._on_down = on_up, on_down
        self._will = will
        self._client: paho.Client | None = None
        self._unsent = 0
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
        """Hand a message to the socket; False where it was dropped (not connected, or too slow)."""
        if not self.is_up or self._unsent >= MAX_UNSENT:
            return False
        self._unsent += 1  # before: on_publish may run inside publish
        sent = self._client.publish(topic, payload, qos, retain).rc == paho.MQTT_ERR_SUCCESS
        self._unsent -= not sent
        return sent

    def refresh(self, topic: str, qos: int = 0) -> None:
        """Subscribe again, so that the broker sends the retained messages again."""
        if self.is_up:
            self._client.subscribe(topic, qos)

    async def _session(self) -> tuple[bool, str]:
        """One connection from start to end: whether it was up, and why it ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT
        client.max_inflight_messages_set(65_535)
        if self._will:
            client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        was_up = False

        def end(sentence: str) -> None:
            self.is_up = False
            if not ended.done():
                ended.set_result(sentence)

        def up() -> None:
            nonlocal was_up
            was_up = self.is_up = True
            self._unsent = 0
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

        def on_publish(_client, _userdata, _mid, _reason, _properties) -> None:
            self._unsent -= 1

        def on_message(_client, _userdata, message: paho.MQTTMessage) -> None:
            try:
                topic = message.topic
            except UnicodeDecodeError:
                log.warning("a message whose topic is not UTF-8 was dropped")
                return
            self._on_message(topic, message.payload, message.retain)

        client.on_connect, client.on_subscribe = on_connect, on_subscribe
        client.on_publish = on_publish
        client.on_disconnect = lambda *args: end(
            f"the connection to {self._address} ended ({args[3]}): is the broker running?"
        )
        if self._on_message:
            client.on_message = on_message

        try:
            await loop.run_in_executor(None, client.connect, self._host, self._port, KEEPALIVE)
        except (OSError, UnicodeError) as error:  # UnicodeError: no name for DNS
            reason = getattr(error, "strerror", None) or error
            return False, f"cannot connect to {self._address} ({reason}): is a broker there?"
        with _attached(loop, client, ended.set_exception):
            self._client = client
            keep_alive = asyncio.create_task(_keep_alive(client))
            try:
                sentence = await ended
            finally:
                keep_alive.cancel()
                self.is_up = False
                self._client = None
                client.on_disconnect = None
                client.disconnect()
                client.loop_write()
        return was_up, sentence


@contextlib.contextmanager
def _attached(
    loop: asyncio.AbstractEventLoop, client: paho.Client, fail: Callable[[Exception], None]
) -> Iterator[None]:
    """Let the loop drive the client's socket, as paho's manual describes for an external loop.

    What a message callback raises is a defect, and goes to `fail`: it must not be lost in the loop.
    """
    sock = client.socket()

    def read() -> None:
        try:
            client.loop_read()
        except Exception as error:
            fail(error)

    client.on_socket_register_write = lambda *_: loop.add_writer(sock, client.loop_write)
    client.on_socket_unregister_write = lambda *_: loop.remove_writer(sock)
    client.on_socket_close = lambda *_: loop.remove_reader(sock)
    loop.add_reader(sock, read)
    try:
        yield
    finally:
        if client.socket() is not None:
            loop.remove_reader(sock)
            loop.remove_writer(sock)
            with contextlib.suppress(OSError):
                sock.close()


async def _keep_alive(client: paho.Client) -> None:
    while True:
        await asyncio.sleep(1)
        client.loop_misc()
