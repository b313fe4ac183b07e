"""Faces from the cloud's broker into the bucket, and a receipt for each."""

import asyncio
import hashlib
import os
import socket
from collections import OrderedDict
from urllib.parse import quote

from prometheus_client import Counter, Gauge, Histogram

from facefleet import telemetry
from facefleet.mqtt import Connection
from facefleet.names import FACES, HELLO, FaceName, Receipt, content_tag, receipts_topic
from facefleet.settings import ProcessorSettings
from facefleet.store import RefusedError, Store, UnavailableError
from facefleet.telemetry import Health, log

FLUSH = 0.015  # seconds that a receipt waits for company
FLUSH_SIZE = 100
REMEMBERED = 8192  # faces known to be stored, so that a re-send costs no PUT
HELD_BYTES = 64 << 20  # held in memory at most; what is beyond is dropped, and sent again
FIRST_PAUSE, LAST_PAUSE = 0.5, 5.0  # seconds between attempts while the bucket is unavailable
DRAIN = 4.0  # seconds to finish what is under way at SIGTERM
READY_KEY = "quarantine/ready"  # written once, to learn whether the bucket can be written

STORED = Counter("facefleet_faces_stored", "Faces that are in the bucket since", ["since"])
QUARANTINED = Counter("facefleet_messages_quarantined", "Messages put into quarantine")
REFUSED = Counter("facefleet_faces_refused", "Faces that the bucket will never take")
DROPPED = Counter("facefleet_messages_dropped", "Messages dropped because too many were held")
REPEATED = Counter("facefleet_messages_repeated", "Messages that needed no PUT")
HELD = Gauge("facefleet_held_bytes", "Payloads held in memory")
PUT = Histogram("facefleet_put_seconds", "One PUT, as long as the bucket takes to answer")


def run(settings: ProcessorSettings) -> None:
    """Run until SIGTERM; then finish what is under way, for at most a few seconds."""
    health = Health("broker", "bucket")
    telemetry.serve(settings.http, health)
    asyncio.run(telemetry.until_terminated(_Processor(settings, health).run(), health))


class _Processor:
    """One subscription, a bounded number of PUTs at a time, and receipts in batches."""

    def __init__(self, settings: ProcessorSettings, health: Health) -> None:
        self._max_bytes = settings.max_face_bytes
        self._qos = settings.qos
        self._health = health
        self._store = Store(settings.bucket)
        share = f"$share/{settings.share}/" if settings.share else ""
        self._connection = Connection(
            settings.broker,
            f"processor-{socket.gethostname()}-{os.getpid()}",
            subscriptions=[(share + FACES, settings.qos)],
            on_message=self._on_message,
            on_up=self._on_up,
            on_down=lambda sentence: health.set("broker", sentence),
        )
        self._slots = asyncio.Semaphore(settings.puts)
        self._under_way: dict[str, asyncio.Task] = {}  # by topic
        self._held = 0  # bytes
        self._done: OrderedDict[str, FaceName] = OrderedDict()  # by topic, the latest last
        self._receipts: dict[tuple[str, str, str], Receipt] = {}  # by device, camera and epoch
        self._flushing: asyncio.TimerHandle | None = None
        self._draining = False

    async def run(self) -> None:
        """Until cancelled."""
        connection = asyncio.create_task(self._connection.run())
        probe = asyncio.create_task(self._put(READY_KEY, b"", {"Content-Type": "text/plain"}))
        try:
            await asyncio.wait({connection})
            connection.result()
        finally:
            self._draining = True
            probe.cancel()
            if self._under_way:
                await asyncio.wait(self._under_way.values(), timeout=DRAIN)
            self._flush()
            connection.cancel()
            await asyncio.wait({connection})

    def _on_up(self) -> None:
        self._health.set("broker", None)
        self._connection.publish(HELLO, b"")

    def _on_message(self, topic: str, payload: bytes, _retain: bool) -> None:
        if self._draining:
            return
        if topic in self._under_way:
            REPEATED.inc()
        elif name := self._done.get(topic):
            REPEATED.inc()
            self._done.move_to_end(topic)
            self._receipt(name).stored.append((name.seq, name.tag))
        elif self._held + len(payload) > HELD_BYTES:
            DROPPED.inc()
        else:
            self._held += len(payload)
            HELD.set(self._held)
            self._under_way[topic] = asyncio.create_task(self._process(topic, payload))

    async def _process(self, topic: str, payload: bytes) -> None:
        try:
            name = FaceName.parse(topic)
            fault = self._fault(name, payload)
            if fault is None:
                await self._store_face(name, topic, payload)
            else:
                await self._quarantine(name, topic, payload, fault)
        except RefusedError as error:
            REFUSED.inc()
            log.error("the bucket refuses this object", topic=topic, reason=str(error))
            if name is not None:
                self._receipt(name).refused.append((name.seq, name.tag, str(error)))
        finally:
            del self._under_way[topic]
            self._held -= len(payload)
            HELD.set(self._held)

    def _fault(self, name: FaceName | None, payload: bytes) -> str | None:
        """Why a message is not a face that can be stored under its topic, or None."""
        if name is None:
            return "the topic is not a face's name"
        if len(payload) > self._max_bytes:
            return f"{len(payload)} bytes are more than the {self._max_bytes} allowed"
        if not (payload.startswith(b"\xff\xd8\xff") and payload.endswith(b"\xff\xd9")):
            return "the payload is not a whole JPEG"
        if content_tag(payload) != name.tag:
            return "the payload is not the one that the topic's tag names"
        return None

    async def _store_face(self, name: FaceName, topic: str, payload: bytes) -> None:
        new = await self._put(topic, payload, {"Content-Type": "image/jpeg"})
        STORED.labels("now" if new else "earlier").inc()
        self._done[topic] = name
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        self._receipt(name).stored.append((name.seq, name.tag))

    async def _quarantine(
        self, name: FaceName | None, topic: str, payload: bytes, reason: str
    ) -> None:
        digest = hashlib.sha256(topic.encode() + b"\0" + payload).hexdigest()
        place = f"{name.device}/{name.camera}" if name else "unknown"
        attributes = {
            "Content-Type": "application/octet-stream",
            "reason": reason,
            "topic": quote(topic)[:1024],
        }
        await self._put(f"quarantine/{place}/{digest[:32]}", payload, attributes)
        QUARANTINED.inc()
        log.warning("a message was put into quarantine", topic=topic[:200], reason=reason)
        if name is not None:
            self._receipt(name).quarantined.append((name.seq, name.tag, reason))

    async def _put(self, key: str, data: bytes, attributes: dict[str, str]) -> bool:
        """Store.create, tried until the bucket is available; readiness says what is wrong."""
        pause = FIRST_PAUSE
        async with self._slots:
            while True:
                try:
                    with PUT.time():
                        new = await self._store.create(key, data, attributes)
                except UnavailableError as error:
                    self._health.set("bucket", str(error))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LAST_PAUSE)
                else:
                    self._health.set("bucket", None)
                    return new

    def _receipt(self, name: FaceName) -> Receipt:
        """The receipt that is being filled for the face's outbox."""
        origin = (name.device, name.camera, name.epoch)
        receipt = self._receipts.setdefault(origin, Receipt(name.epoch))
        if len(receipt) >= FLUSH_SIZE:
            self._flush()
            receipt = self._receipts[origin] = Receipt(name.epoch)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH, self._flush)
        return receipt

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        for (device, camera, _), receipt in self._receipts.items():
            # One that does not get through is given again when its faces come again.
            self._connection.publish(receipts_topic(device, camera), receipt.encode(), self._qos)
        self._receipts.clear()
