"""Forward faces from the device's broker to the cloud broker, and receipts back.

The forwarder has no queue: it drops what it cannot forward, and the outbox resends it.
"""

import asyncio

from prometheus_client import Counter

from facefleet.health import Health, serve_health
from facefleet.mqtt import Connection, Will
from facefleet.protocol import HELLO, LINK_DOWN, LINK_UP, can_be_sent, status_topic
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
        request_resend()

    def request_resend() -> None:
        if edge.is_up and cloud.is_up:
            edge.publish(HELLO, b"")

    def to_cloud(topic: str, payload: bytes, _retain: bool) -> None:
        is_status = topic.startswith("status/")
        # The acknowledgement of a status shows that the link works, which saves a ping.
        _forward(cloud, topic, payload, max(qos, is_status), retain=is_status, to="cloud")

    def to_edge(topic: str, payload: bytes, _retain: bool) -> None:
        _forward(edge, topic, payload, qos, retain=False, to="edge")

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
    relaying = {asyncio.create_task(edge.run()), asyncio.create_task(cloud.run())}
    try:
        ended, _ = await asyncio.wait(relaying, return_when=asyncio.FIRST_COMPLETED)
        for side in ended:  # only a bug ends a connection: raise its error
            side.result()
    finally:
        cloud.publish(status_topic(device), LINK_DOWN, retain=True)
        for side in relaying:
            side.cancel()
        await asyncio.wait(relaying)


def _forward(
    target: Connection, topic: str, payload: bytes, qos: int, *, retain: bool, to: str
) -> None:
    # A broker would close the connection for an invalid topic each time the message is resent.
    forwarded = can_be_sent(topic) and target.publish(topic, payload, qos, retain)
    (FORWARDED if forwarded else NOT_FORWARDED).labels(to).inc()
