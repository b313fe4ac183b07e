"""Forward faces from the device's broker to the cloud broker, and receipts back.

The forwarder drops what it cannot forward, and the outbox resends it. Faces wait here only if the
uplink has a limit: the detectors of the device then notice the delay, and send less.
"""

import asyncio
import time
from collections.abc import Callable

from prometheus_client import Counter

from facefleet.delivery.budget import Budget, Waiting, message_budget, wire_size
from facefleet.health import Health, serve_health
from facefleet.mqtt import Connection, Will
from facefleet.protocol import HELLO, LINK_DOWN, LINK_UP, can_be_sent, status_topic
from facefleet.reporter import Reporter
from facefleet.runtime import run_until_signal
from facefleet.settings import ForwarderSettings

FORWARDED = Counter("facefleet_messages_forwarded", "Messages forwarded", ["to"])
NOT_FORWARDED = Counter(
    "facefleet_messages_not_forwarded", "Messages dropped, to be resent by the outbox", ["to"]
)


def run(settings: ForwarderSettings) -> None:
    """Forward messages until SIGTERM."""
    health = Health("edge broker", "cloud broker", service="forwarder")
    serve_health(settings.http, health)
    asyncio.run(run_until_signal(_relay(settings, health), health))


async def _relay(settings: ForwarderSettings, health: Health) -> None:
    device, qos = settings.device, settings.qos
    status = status_topic(device, "#")

    def on_edge_up() -> None:
        health.set("edge broker", None)
        request_resend()

    def on_cloud_up() -> None:
        health.set("cloud broker", None)
        cloud.publish(status_topic(device), LINK_UP, retain=True)
        edge.retained(status)  # forward the retained statuses that the cloud missed
        reporter.connected()
        request_resend()

    def request_resend() -> None:
        NOT_FORWARDED.labels("cloud").inc(uplink.clear())  # they are about to be resent
        if edge.is_up and cloud.is_up:
            edge.publish(HELLO, b"")

    def to_cloud(topic: str, payload: bytes, _retain: bool) -> None:
        if not uplink.put(topic, payload):
            NOT_FORWARDED.labels("cloud").inc()

    def to_cloud_now(topic: str, payload: bytes) -> None:
        is_status = topic.startswith("status/")
        # The acknowledgement of a status shows that the link works, which saves a ping.
        _forward(cloud, topic, payload, max(qos, is_status), retain=is_status, to="cloud")

    uplink = _Uplink(settings.uplink_rate, settings.uplink_messages, to_cloud_now)

    def to_edge(topic: str, payload: bytes, _retain: bool) -> None:
        if topic == reporter.answers:
            reporter.answered(payload)
            return
        _forward(edge, topic, payload, qos, retain=False, to="edge")

    reporter = Reporter(
        device,
        settings.tls,
        settings.deployed,
        lambda topic, payload: cloud.is_up and uplink.put(topic, payload),
    )
    edge = Connection(
        settings.edge_broker,
        f"forwarder-{device}",
        subscriptions=[(f"faces/{device}/#", qos), (status, 0)],
        on_message=to_cloud,
        on_up=on_edge_up,
        on_down=lambda sentence: health.set("edge broker", sentence),
    )
    cloud = Connection(
        settings.cloud_broker,
        device,  # the name in its certificate
        subscriptions=[(f"receipts/{device}/#", qos), (HELLO, 0)],
        on_message=to_edge,
        on_up=on_cloud_up,
        on_down=lambda sentence: health.set("cloud broker", sentence),
        will=Will(status_topic(device), LINK_DOWN),
        tls=settings.tls,
    )
    parts = (edge, cloud, uplink, reporter)
    relaying = {asyncio.create_task(part.run()) for part in parts}
    try:
        ended, _ = await asyncio.wait(relaying, return_when=asyncio.FIRST_COMPLETED)
        for side in ended:  # only a bug ends a connection: raise its error
            side.result()
    finally:
        cloud.publish(status_topic(device), LINK_DOWN, retain=True)
        for side in relaying:
            side.cancel()
        await asyncio.wait(relaying)


class _Uplink:
    """Passes messages on at once, or faces in their order as the limits allow."""

    def __init__(
        self, rate: float | None, messages: int | None, send: Callable[[str, bytes], None]
    ) -> None:
        """`rate` in bytes a second, `messages` a second; None without a limit."""
        self._budgets: list[
            tuple[Budget, Callable[[str, bytes], int]]
        ] = []  # with a message's cost
        if rate:
            self._budgets.append((Budget(rate), wire_size))
        if messages:
            self._budgets.append((message_budget(messages), lambda _topic, _payload: 1))
        self._send = send
        self._waiting = Waiting()
        self._filled = asyncio.Event()

    def put(self, topic: str, payload: bytes) -> bool:
        """Return False if the message was dropped."""
        if not self._budgets:
            self._send(topic, payload)
        elif topic.startswith("status/"):
            self._spend(topic, payload)
        else:
            self._filled.set()
            return self._waiting.put(topic, payload)
        return True

    def clear(self) -> int:
        """Drop the faces that wait. Return their number."""
        return self._waiting.clear()

    async def run(self) -> None:
        while True:
            await self._filled.wait()
            now = time.monotonic()
            if wait := max(budget.wait(now) for budget, _ in self._budgets):
                await asyncio.sleep(wait)
            elif self._waiting:
                self._spend(*self._waiting.take())
            else:
                self._filled.clear()

    def _spend(self, topic: str, payload: bytes) -> None:
        now = time.monotonic()
        for budget, cost in self._budgets:
            budget.spend(cost(topic, payload), now)
        self._send(topic, payload)


def _forward(
    target: Connection, topic: str, payload: bytes, qos: int, *, retain: bool, to: str
) -> None:
    # A broker would close the connection for an invalid topic each time the message is resent.
    forwarded = can_be_sent(topic) and target.publish(topic, payload, qos, retain)
    (FORWARDED if forwarded else NOT_FORWARDED).labels(to).inc()
