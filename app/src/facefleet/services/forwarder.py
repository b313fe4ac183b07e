"""Carry faces from the device's broker to the cloud's, and receipts back.

A relay, not a queue: what cannot be passed on is dropped, for the outbox sends it again.
"""

import asyncio

from prometheus_client import Counter

from facefleet.health import Health, serve_health
from facefleet.mqtt import Connection, Will
from facefleet.names import HELLO, LINK_DOWN, LINK_UP, can_be_sent, status_topic
from facefleet.runtime import run_until_signal
from facefleet.settings import ForwarderSettings

FORWARDED = Counter("facefleet_messages_forwarded", "Messages passed on", ["to"])
NOT_FORWARDED = Counter(
    "facefleet_messages_not_forwarded", "Messages dropped, for the outbox to resend", ["to"]
)


def run(settings: ForwarderSettings) -> None:
    """Run until SIGTERM."""
    health = Health("edge broker", "cloud broker", service="forwarder")
    serve_health(settings.http, health)
    asyncio.run(run_until_signal(_relay(settings, health), health))


async def _relay(settings: ForwarderSettings, health: Health) -> None:
    device, qos = settings.device, settings.qos
    status = status_topic(device, "#")

    def up_the_edge() -> None:
        health.set("edge broker", None)
        say_hello()

    def up_the_cloud() -> None:
        health.set("cloud broker", None)
        cloud.publish(status_topic(device), LINK_UP, retain=True)
        edge.retained(status)  # what the cloud missed is what the edge has retained
        say_hello()

    def say_hello() -> None:
        if edge.is_up and cloud.is_up:
            edge.publish(HELLO, b"")

    def to_cloud(topic: str, payload: bytes, _retain: bool) -> None:
        _pass(cloud, topic, payload, qos, retain=topic.startswith("status/"), to="cloud")

    def to_edge(topic: str, payload: bytes, _retain: bool) -> None:
        _pass(edge, topic, payload, qos, retain=False, to="edge")

    edge = Connection(
        settings.edge_broker,
        f"forwarder-{device}",
        subscriptions=[(f"faces/{device}/#", qos), (status, 0)],
        on_message=to_cloud,
        on_up=up_the_edge,
        on_down=lambda sentence: health.set("edge broker", sentence),
    )
    cloud = Connection(
        settings.cloud_broker,
        device,  # as its certificate names it
        subscriptions=[(f"receipts/{device}/#", qos), (HELLO, 0)],
        on_message=to_edge,
        on_up=up_the_cloud,
        on_down=lambda sentence: health.set("cloud broker", sentence),
        will=Will(status_topic(device), LINK_DOWN),
        tls=settings.tls,
    )
    relaying = {asyncio.create_task(edge.run()), asyncio.create_task(cloud.run())}
    try:
        ended, _ = await asyncio.wait(relaying, return_when=asyncio.FIRST_COMPLETED)
        for side in ended:  # by a defect: raise it
            side.result()
    finally:
        cloud.publish(status_topic(device), LINK_DOWN, retain=True)
        for side in relaying:
            side.cancel()
        await asyncio.wait(relaying)


def _pass(
    there: Connection, topic: str, payload: bytes, qos: int, *, retain: bool, to: str
) -> None:
    # What would end the connection there would do so again whenever it is sent.
    passed = can_be_sent(topic) and there.publish(topic, payload, qos, retain)
    (FORWARDED if passed else NOT_FORWARDED).labels(to).inc()
