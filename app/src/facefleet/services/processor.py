"""Faces from the cloud's broker into the bucket, and a receipt for each."""

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
from facefleet.evidence import today
from facefleet.health import Health, serve_health
from facefleet.logging import log
from facefleet.mqtt import Connection
from facefleet.names import (
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
from facefleet.runtime import run_until_signal
from facefleet.settings import ProcessorSettings
from facefleet.store import Store, Stored

FLUSH = 0.015  # seconds that a receipt waits for company
FLUSH_SIZE = 100
REMEMBERED = 8192  # faces known to be stored, so that a re-send costs no PUT
OVERHEAD = 1024  # bytes that a message costs beside its payload, roughly
LARGEST = 7680 * 4320  # pixels: an 8K camera's whole frame; whoever looks at it must decode it
HELD_BYTES = 64 << 20  # held in memory at most; what is beyond is dropped, and sent again
DRAIN = 4.0  # seconds to finish what is under way at SIGTERM
WATCH_EVERY = 1.0  # seconds
DEAF = 5.0  # seconds without its own echo: the broker does not deliver what it has granted
FUTILE = 20  # messages in a row of which no face was stored, beside those of one device

_Origin = tuple[str, str, str, date]
"""What a receipt is for: device, camera, epoch, and the day."""

STORED = Counter("facefleet_faces_stored", "Faces stored, or found in the bucket", ["since"])
QUARANTINED = Counter("facefleet_messages_quarantined", "Messages stored in quarantine/")
REFUSED = Counter("facefleet_faces_refused", "Faces that the bucket refuses for good")
DROPPED = Counter("facefleet_messages_dropped", "Messages dropped because memory was full")
REPEATED = Counter("facefleet_messages_repeated", "Repeated messages that needed no PUT")
HELD = Gauge("facefleet_held_bytes", "Payloads held in memory")


def run(settings: ProcessorSettings) -> None:
    """Run until SIGTERM; then finish what is under way, for at most a few seconds."""
    health = Health("broker", "bucket", service="processor")
    serve_health(settings.http, health)
    asyncio.run(run_until_signal(_Processor(settings, health).run(), health))


class _Processor:
    """One subscription, PUTs by the store, and receipts in batches.

    The store leaves what it has finished on a queue, and the loop is not woken for each: the flush
    that ends a batch of receipts collects them.
    """

    def __init__(self, settings: ProcessorSettings, health: Health) -> None:
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
        self._cleared: set[str] = set()  # topics of retained faces, which the broker is to forget
        self._clearing = False  # some have come since the last look
        self._up_since: float | None = None  # monotonic seconds
        self._hears = False  # faces through this connection
        self._done: OrderedDict[str, tuple[FaceName, date]] = OrderedDict()  # by topic, latest last
        self._receipts: dict[_Origin, Receipt] = {}
        self._news: dict[tuple[str, str], list[str]] = {}  # keys, by device and camera
        self._flushing = False
        self._draining = False

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        bucket_met = partial(self._health.set, "bucket", None)
        self._store.probed.add_done_callback(lambda _: loop.call_soon_threadsafe(bucket_met))
        connection = asyncio.create_task(self._connection.run())
        watch = asyncio.create_task(self._watch())
        try:
            ends = {connection, watch, asyncio.wrap_future(self._store.ended)}
            ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                one.result()
        finally:
            self._draining = True
            watch.cancel()
            deadline = time.monotonic() + DRAIN
            while self._under_way and time.monotonic() < deadline:
                await asyncio.sleep(FLUSH)
            connection.cancel()
            await asyncio.wait({connection})

    # -- on the loop ---------------------------------------------------------------------------

    def _on_up(self) -> None:
        self._up_since = time.monotonic()
        self._connection.publish(ECHO, b"")

    def _on_down(self, sentence: str) -> None:
        self._up_since, self._hears = None, False
        self._cleared.clear()
        self._health.set("broker", sentence)

    async def _watch(self) -> None:
        """Until it hears faces, ask for an echo; then look for retained ones, again and again."""
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
            if time.monotonic() - self._up_since > DEAF:
                self._health.set("broker", self._deaf())

    def _deaf(self) -> str:
        advice = (
            "give it a broker with shared subscriptions, or leave out FACEFLEET_SHARE"
            if self._subscription != FACES
            else "let this processor write and read faces/# there"
        )
        return f"the broker grants {self._subscription} and delivers nothing: {advice}"

    def _on_message(self, topic: str, payload: bytes, retain: bool) -> None:
        if self._draining:
            return
        if not topic.startswith("faces"):
            for excess in self._statuses.excess(topic, len(payload)):
                self._connection.publish(excess, b"", retain=True)
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
        if retain:  # by a device that wants the broker's memory: no other retains a face
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
            self._take(judge(topic, payload, self._max_bytes, self._cameras))
        if not self._flushing:
            self._flush_soon()

    def _take(self, job: "_Job") -> None:
        self._under_way.add(job.topic)
        job.put = self._store.create(job.key, job.payload, job.attributes, job.digest)
        job.put.add_done_callback(lambda _: self._finished.put(job))

    def _flush_soon(self) -> None:
        self._flushing = True
        asyncio.get_running_loop().call_later(FLUSH, self._flush)

    def _flush(self) -> None:
        """Collect what has been finished, and say so to each camera."""
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
            log.error("the bucket refuses this object", topic=job.topic[:200], reason=str(refusal))
        elif job.fault is not None:
            QUARANTINED.inc()
            self._yield.failed(_device(job.topic), "put into quarantine", job.fault)
            log.warning(
                "a message was put into quarantine", topic=job.topic[:200], reason=job.fault
            )
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
            if len(self._done) > REMEMBERED:
                self._done.popitem(last=False)
            self._confirm(name, job.key, day)

    def _confirm(self, name: FaceName, key: str, day: date) -> None:
        self._receipt(name, day).stored.append((name.seq, name.tag))
        self._news.setdefault((name.device, name.camera), []).append(key)

    def _receipt(self, name: FaceName, day: date) -> Receipt:
        """The receipt that is being filled for the face's outbox, of what was stored that day."""
        origin = (name.device, name.camera, name.epoch, day)
        receipt = self._receipts.get(origin)
        if receipt is not None and len(receipt) >= FLUSH_SIZE:
            self._publish(origin)
            receipt = None
        if receipt is None:
            receipt = self._receipts[origin] = Receipt(name.epoch, day)
        return receipt

    def _publish(self, origin: _Origin) -> None:
        # One that does not get through is given again when its faces come again.
        device, camera, _, _ = origin
        receipt = self._receipts.pop(origin)
        self._connection.publish(receipts_topic(device, camera), receipt.encode(), self._qos)
        if keys := self._news.pop((device, camera), None):
            message = news.encode(device, camera, keys)
            self._connection.publish(news.stored_topic(device, camera), message)


class Yield:
    """Notices when nothing comes of what is sent, though the bucket answers.

    One device does not decide: the messages of whichever has sent the most do not count.
    """

    def __init__(self) -> None:
        self._of: Tally[str] = Tally()  # messages by device, since the last face that was stored
        self._fates: Tally[str] = Tally()  # of these
        self._reason = ""  # of the latest

    def stored(self) -> None:
        self._of.clear()
        self._fates.clear()

    def failed(self, device: str, fate: str, reason: str) -> None:
        if self.problem is None or device in self._of:  # more devices would say no more
            self._of[device] += 1
        self._fates[fate] += 1
        self._reason = reason

    @property
    def problem(self) -> str | None:
        if self._of.total() - max(self._of.values(), default=0) < FUTILE:
            return None
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(self._fates.items()))
        return (
            f"no face was stored of the last {self._fates.total()} messages of several devices "
            f"({fates}), the latest because {self._reason}: see who sends them in this log"
        )


@dataclass(slots=True)
class _Job:
    """A PUT, and what became of it."""

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
    """Bytes of memory, roughly. No face's topic is long, but anybody's may be."""
    return len(payload) + max(OVERHEAD, sys.getsizeof(topic))


def _device(topic: str) -> str:
    """Whose message it is, as far as the topic says so: the broker lets no device use another's."""
    return topic.split("/", 2)[1] if "/" in topic else ""


def judge(topic: str, payload: bytes, max_bytes: int, cameras: Cameras) -> _Job:
    """Where a message goes: under its name where it is a face, or else into quarantine."""
    name = FaceName.of_topic(topic)
    digest = hashlib.sha256(payload).digest()
    if name is not None and name.tag != tag_of(digest):
        # Damaged on its way, or somebody else's: the one that the tag names is still to come,
        # so there is no receipt for this.
        name, fault = None, "the payload is not the one that the topic's tag names"
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
    """Why a message is not a face that can be stored under its topic, or None."""
    if name is None:
        return "the topic is not a face's name"
    if len(payload) > max_bytes:
        return f"{len(payload)} bytes are more than the {max_bytes} allowed"
    size = jpeg.size(payload)
    if size is None:
        return "the payload is not a whole JPEG"
    if size[0] * size[1] > LARGEST:
        return f"{size[0]} x {size[1]} pixels are more than a camera's"
    if not cameras.takes(name):
        return f"{name.device} has more than {CAMERAS} cameras"
    return None
