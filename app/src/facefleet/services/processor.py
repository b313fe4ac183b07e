"""Store faces from the cloud broker in the bucket, and send a receipt for each."""

import asyncio
import hashlib
import os
import socket
import sys
import time
from collections import Counter as Tally
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date
from functools import partial
from queue import SimpleQueue
from urllib.parse import quote

from prometheus_client import Counter, Gauge

from facefleet import jpeg, news
from facefleet.clones import Clone, Clones
from facefleet.evidence import today
from facefleet.health import Health, serve_health
from facefleet.heard import Heard
from facefleet.logging import log
from facefleet.mqtt import Connection
from facefleet.protocol import (
    ECHO,
    FACES,
    HELLO,
    STATUSES,
    FaceName,
    Receipt,
    receipts_topic,
    tag_of,
)
from facefleet.quotas import CAMERAS, Cameras, Memory, Statuses
from facefleet.report import time_answer
from facefleet.runtime import run_until_signal
from facefleet.settings import ProcessorSettings
from facefleet.store import Store, Stored

FLUSH_DELAY = 0.015  # seconds that a receipt waits to be sent with others
FLUSH_SIZE = 100
MAX_REMEMBERED = 8192  # faces known to be stored, for which a resend needs no PUT
OVERHEAD = 1024  # approximate bytes of memory per message, in addition to its payload
MAX_PIXELS = 7680 * 4320  # the frame of an 8K camera; viewers have to decode the whole image
HELD_BYTES = 64 << 20  # memory for payloads; messages beyond it are dropped, and resent later
DRAIN_TIMEOUT = 4.0  # seconds to finish pending PUTs after SIGTERM
WATCH_EVERY = 1.0  # seconds
ECHO_TIMEOUT = 5.0  # seconds without the echo until the broker counts as not delivering
MAX_UNSTORED = 20  # consecutive messages without a stored face, not counting those of one device

_Origin = tuple[str, str, str, date]
"""Key of a receipt: device, camera, epoch, and day."""

STORED = Counter("facefleet_faces_stored", "Faces stored, or found in the bucket", ["since"])
QUARANTINED = Counter("facefleet_messages_quarantined", "Messages stored in quarantine/")
REFUSED = Counter("facefleet_faces_refused", "Faces that the bucket refuses permanently")
DROPPED = Counter("facefleet_messages_dropped", "Messages dropped because memory was full")
CLONES = Counter("facefleet_clones_seen", "Times that two devices reported a camera in turn")
REPEATED = Counter("facefleet_messages_repeated", "Repeated messages that needed no PUT")
HELD = Gauge("facefleet_held_bytes", "Payloads held in memory")


def run(settings: ProcessorSettings) -> None:
    """Store faces until SIGTERM, then finish pending PUTs within a few seconds."""
    health = Health("broker", "bucket", service="processor")
    heard = Heard(time.time())
    serve_health(settings.http, health, {"/statuses": lambda: heard.encode(time.time())})
    asyncio.run(run_until_signal(_Processor(settings, health, heard).run(), health))


class _Processor:
    """Receives faces by one subscription, PUTs them by the store, and sends batches of receipts.

    The store's thread puts finished jobs into a queue. It does not wake the loop for each of them:
    the periodic flush that sends receipts also collects finished jobs.
    """

    def __init__(self, settings: ProcessorSettings, health: Health, heard: Heard) -> None:
        self._max_bytes = settings.max_face_bytes
        self._qos = settings.qos
        self._health = health
        self._yield = Yield()
        self._store = Store(
            settings.bucket, settings.puts, lambda error: health.set("bucket", str(error))
        )
        self._subscription = f"$share/{settings.share}/{FACES}" if settings.share else FACES
        self._connection = Connection(
            settings.broker,
            f"processor-{socket.gethostname()}-{os.getpid()}",
            subscriptions=[(self._subscription, settings.qos), (STATUSES, 0)],
            on_message=self._on_message,
            on_up=self._on_up,
            on_down=self._on_down,
            tls=settings.tls,
        )
        self._finished: SimpleQueue[_Job] = SimpleQueue()
        self._under_way: set[str] = set()  # topics
        self._memory = Memory(HELD_BYTES)
        self._cameras = Cameras()
        self._statuses = Statuses()
        self._heard = heard
        self._clones = Clones()
        self._cleared: set[str] = set()  # topics of retained faces, which the broker must forget
        self._clearing = False  # retained faces have arrived since the last check
        self._up_since: float | None = None  # monotonic seconds
        self._hears = False  # this connection has delivered a message on a face topic
        self._done: OrderedDict[str, tuple[FaceName, date]] = OrderedDict()  # by topic, latest last
        self._receipts: dict[_Origin, Receipt] = {}
        self._news: dict[tuple[str, str], list[str]] = {}  # keys, by device and camera
        self._flushing = False
        self._draining = False

    async def run(self) -> None:
        """Process messages until cancelled."""
        loop = asyncio.get_running_loop()
        bucket_met = partial(self._health.set, "bucket", None)
        self._store.probed.add_done_callback(lambda _: loop.call_soon_threadsafe(bucket_met))
        connection = asyncio.create_task(self._connection.run())
        watch = asyncio.create_task(self._watch())
        try:
            ends = {connection, watch, asyncio.wrap_future(self._store.ended)}
            ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            self._draining = True
            watch.cancel()
            deadline = time.monotonic() + DRAIN_TIMEOUT
            while self._under_way and time.monotonic() < deadline:
                await asyncio.sleep(FLUSH_DELAY)
            connection.cancel()
            await asyncio.wait({connection})

    # -- messages ------------------------------------------------------------------------------

    def _on_up(self) -> None:
        self._up_since = time.monotonic()
        self._connection.publish(ECHO, b"")

    def _on_down(self, sentence: str) -> None:
        self._up_since, self._hears = None, False
        self._cleared.clear()
        self._health.set("broker", sentence)

    async def _watch(self) -> None:
        """Request an echo until faces arrive. From then on, request retained faces regularly."""
        while True:
            await asyncio.sleep(WATCH_EVERY)
            if self._up_since is None:
                continue
            if self._clearing:
                self._clearing = False
                continue
            if self._hears:
                shared = self._subscription != FACES
                self._connection.retained(FACES, self._qos, keep=not shared)
                continue
            self._connection.publish(ECHO, b"")
            if time.monotonic() - self._up_since > ECHO_TIMEOUT:
                self._health.set("broker", self._echo_problem())

    def _echo_problem(self) -> str:
        advice = (
            "use a broker with shared subscriptions, or unset FACEFLEET_SHARE"
            if self._subscription != FACES
            else "allow this processor to read and write faces/#"
        )
        return f"the broker grants {self._subscription} but delivers nothing: {advice}"

    def _on_message(self, topic: str, payload: bytes, retain: bool) -> None:
        if self._draining:
            return
        if not topic.startswith("faces"):
            self._on_status(topic, payload, retain)
            return
        if not (self._hears or retain):
            self._hears = True
            self._health.set("broker", None)
            self._connection.publish(HELLO, b"")
        if topic == ECHO:
            return
        if not payload and topic in self._cleared:
            self._cleared.discard(topic)
            return
        if retain:  # from a hostile device that fills the broker's memory: faces are not retained
            self._clearing = True
            self._cleared.add(topic)
            self._connection.publish(topic, b"", retain=True)
            return
        if topic in self._under_way:
            REPEATED.inc()
        elif done := self._done.get(topic):
            REPEATED.inc()
            self._done.move_to_end(topic)
            self._yield.stored()
            name, day = done
            self._confirm(name, str(name), day)
        elif not self._memory.take(_device(topic), _cost(topic, payload)):
            DROPPED.inc()
        else:
            self._enqueue(classify_message(topic, payload, self._max_bytes, self._cameras))
        if not self._flushing:
            self._flush_soon()

    def _on_status(self, topic: str, payload: bytes, retain: bool) -> None:
        now = time.time()
        self._heard.hear(topic, payload, now, retained=retain)
        excess = self._statuses.excess(topic, len(payload))
        for other in excess:
            self._heard.forget(other)
            self._connection.publish(other, b"", retain=True)
        if not retain and (answer := time_answer(topic, payload, now)):
            self._connection.publish(*answer)
        if topic not in excess and (clone := self._clones.heard(topic, payload)):
            self._report_clone(clone)

    def _report_clone(self, clone: Clone) -> None:
        CLONES.inc()
        log.error(
            "two devices use one name: give one of them a name of its own",
            device=clone.device,
            camera=clone.camera,
            shared_epoch=clone.epoch or None,
        )
        notice = Receipt(clone.epoch, clone=True).encode()
        self._connection.publish(receipts_topic(clone.device, clone.camera), notice, self._qos)

    def _enqueue(self, job: "_Job") -> None:
        self._under_way.add(job.topic)
        job.put = self._store.create(job.key, job.payload, job.attributes, job.digest)
        job.put.add_done_callback(lambda _: self._finished.put(job))

    def _flush_soon(self) -> None:
        self._flushing = True
        asyncio.get_running_loop().call_later(FLUSH_DELAY, self._flush)

    def _flush(self) -> None:
        """Collect finished jobs and send their receipts."""
        if not self._finished.empty():
            self._health.set("bucket", None)
        while not self._finished.empty():
            self._collect(self._finished.get())
        self._health.set("faces", self._yield.problem)
        for origin in list(self._receipts):
            self._publish(origin)
        HELD.set(self._memory.held)
        self._flushing = False
        if self._under_way:
            self._flush_soon()

    def _collect(self, job: "_Job") -> None:
        self._under_way.remove(job.topic)
        self._memory.release(_device(job.topic), job.size)
        refusal = job.put.exception()
        if refusal is not None:
            REFUSED.inc()
            self._yield.failed(_device(job.topic), "refused by the bucket", str(refusal))
            log.error("bucket refused an object", topic=job.topic[:200], reason=str(refusal))
        elif job.fault is not None:
            QUARANTINED.inc()
            self._yield.failed(_device(job.topic), "quarantined", job.fault)
            log.warning("message quarantined", topic=job.topic[:200], reason=job.fault)
        else:
            STORED.labels("now" if job.put.result().new else "earlier").inc()
            self._yield.stored()
        if (name := job.name) is None:
            return
        if refusal is not None:
            self._receipt(name, today()).refused.append((name.seq, name.tag, str(refusal)))
            return
        day = job.put.result().day
        if job.fault is not None:
            self._receipt(name, day).quarantined.append((name.seq, name.tag, job.fault))
        else:
            self._done[job.topic] = name, day
            if len(self._done) > MAX_REMEMBERED:
                self._done.popitem(last=False)
            self._confirm(name, job.key, day)

    def _confirm(self, name: FaceName, key: str, day: date) -> None:
        self._receipt(name, day).stored.append((name.seq, name.tag))
        self._news.setdefault((name.device, name.camera), []).append(key)

    def _receipt(self, name: FaceName, day: date) -> Receipt:
        """Return the open receipt for the face's outbox and the day, or start a new one."""
        origin = (name.device, name.camera, name.epoch, day)
        receipt = self._receipts.get(origin)
        if receipt is not None and len(receipt) >= FLUSH_SIZE:
            self._publish(origin)
            receipt = None
        if receipt is None:
            receipt = self._receipts[origin] = Receipt(name.epoch, day)
        return receipt

    def _publish(self, origin: _Origin) -> None:
        # If this receipt is lost, the faces are resent, and get another one.
        device, camera, _, _ = origin
        receipt = self._receipts.pop(origin)
        self._connection.publish(receipts_topic(device, camera), receipt.encode(), self._qos)
        if keys := self._news.pop((device, camera), None):
            message = news.encode(device, camera, keys)
            self._connection.publish(news.stored_topic(device, camera), message)


class Yield:
    """Notices when no face is stored although messages arrive and the bucket responds.

    A single device cannot cause this: messages of the device that sent most do not count.
    """

    def __init__(self) -> None:
        self._of: Tally[str] = Tally()  # messages by device, since the last stored face
        self._fates: Tally[str] = Tally()  # outcomes of these messages
        self._reason = ""  # why the latest was not stored

    def stored(self) -> None:
        self._of.clear()
        self._fates.clear()

    def failed(self, device: str, fate: str, reason: str) -> None:
        if self.problem is None or device in self._of:  # further devices would add nothing
            self._of[device] += 1
        self._fates[fate] += 1
        self._reason = reason

    @property
    def problem(self) -> str | None:
        if self._of.total() - max(self._of.values(), default=0) < MAX_UNSTORED:
            return None
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(self._fates.items()))
        return (
            f"none of the last {self._fates.total()} messages from several devices was stored "
            f"({fates}; latest reason: {self._reason}): see this log for their topics"
        )


@dataclass(slots=True)
class _Job:
    """A message, and the PUT that stores it."""

    topic: str
    payload: bytes
    digest: bytes  # SHA-256 of the payload
    name: FaceName | None
    fault: str | None  # why it goes into quarantine
    key: str
    attributes: dict[str, str]
    put: Future[Stored] | None = None

    @property
    def size(self) -> int:
        return _cost(self.topic, self.payload)


def _cost(topic: str, payload: bytes) -> int:
    """Estimate a message's memory in bytes, including its topic, which may be hostile and long."""
    return len(payload) + max(OVERHEAD, sys.getsizeof(topic))


def _device(topic: str) -> str:
    """Return the device in the topic. The broker enforces that a device uses its own name."""
    return topic.split("/", 2)[1] if "/" in topic else ""


def classify_message(topic: str, payload: bytes, max_bytes: int, cameras: Cameras) -> _Job:
    """Decide where a message is stored: a face under its name, anything else in quarantine."""
    name = FaceName.of_topic(topic)
    digest = hashlib.sha256(payload).digest()
    if name is not None and name.tag != tag_of(digest):
        # Damaged in transit, or forged. The face with this tag is still to come, so this message
        # gets no receipt.
        name, fault = None, "the payload does not match the tag in the topic"
    else:
        fault = _fault(name, payload, max_bytes, cameras)
    if fault is None:
        return _Job(topic, payload, digest, name, None, str(name), {"Content-Type": "image/jpeg"})
    message = hashlib.sha256(topic.encode() + b"\0" + payload).hexdigest()
    place = f"{name.device}/{name.camera}" if name else "unknown"
    attributes = {
        "Content-Type": "application/octet-stream",
        "reason": fault,
        "topic": quote(topic)[:1024],
    }
    key = f"quarantine/{place}/{message[:32]}"
    return _Job(topic, payload, digest, name, fault, key, attributes)


def _fault(name: FaceName | None, payload: bytes, max_bytes: int, cameras: Cameras) -> str | None:
    """Return why a message cannot be stored as a face under its topic, or None if it can."""
    if name is None:
        return "the topic is not a face's name"
    if len(payload) > max_bytes:
        return f"{len(payload)} bytes are more than the {max_bytes} allowed"
    size = jpeg.size(payload)
    if size is None:
        return "the payload is not a complete JPEG"
    if size[0] * size[1] > MAX_PIXELS:
        return f"{size[0]} x {size[1]} pixels are more than the {MAX_PIXELS} allowed"
    if not cameras.takes(name):
        return f"{name.device} has more than {CAMERAS} cameras"
    return None
