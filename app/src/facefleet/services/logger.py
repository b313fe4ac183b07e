"""Log every face, receipt and status on the device's broker."""

import asyncio

from prometheus_client import Counter

from facefleet.health import Health, serve_health
from facefleet.logging import log
from facefleet.mqtt import Connection
from facefleet.protocol import FaceName, Receipt
from facefleet.runtime import run_until_signal
from facefleet.settings import LoggerSettings

HEARD = Counter("facefleet_messages_heard", "Messages logged", ["kind"])


def run(settings: LoggerSettings) -> None:
    """Log messages until SIGTERM."""
    health = Health("broker", service="logger")
    serve_health(settings.http, health)
    connection = Connection(
        settings.broker,
        f"logger-{settings.device}",
        subscriptions=[("faces/#", 0), ("receipts/#", 0), ("status/#", 0)],
        on_message=_log_message,
        on_up=lambda: health.set("broker", None),
        on_down=lambda sentence: health.set("broker", sentence),
    )
    asyncio.run(run_until_signal(connection.run(), health))


def _log_message(topic: str, payload: bytes, retain: bool) -> None:
    kind = topic.split("/", 1)[0]
    HEARD.labels(kind).inc()
    if kind == "faces":
        name = FaceName.of_topic(topic)
        if name is None:
            log.warning("face with a malformed topic", topic=topic[:200], bytes=len(payload))
        else:
            log.info(
                "face", device=name.device, camera=name.camera, seq=name.seq, bytes=len(payload)
            )
    elif kind == "receipts" and (receipt := Receipt.decode(payload)):
        log.info(
            "receipt",
            topic=topic,
            stored=len(receipt.stored),
            quarantined=len(receipt.quarantined),
            refused=len(receipt.refused),
        )
    else:
        log.info("message", topic=topic[:200], payload=payload[:500].decode(errors="replace"))
