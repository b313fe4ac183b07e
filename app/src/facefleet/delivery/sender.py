"""The loop that drives outbox and window: it publishes faces over MQTT and handles receipts."""

import asyncio
import contextlib
import json
import math
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from pydantic import AnyUrl

from facefleet.delivery.answers import Answers
from facefleet.delivery.backlog import Rank
from facefleet.delivery.coverage import Meter
from facefleet.delivery.database import OutboxError
from facefleet.delivery.epochs import CLONE_SEEN, is_foreign, new_epoch
from facefleet.delivery.forecast import Forecast, Forecaster
from facefleet.delivery.last_hour import LastHour
from facefleet.delivery.outbox import DamagedFaceError, NoStorageError, Outbox
from facefleet.delivery.reporting import Reporting
from facefleet.delivery.window import Window
from facefleet.health import Health
from facefleet.logging import log
from facefleet.mqtt import Connection, Will
from facefleet.protocol import HELLO, FaceName, Receipt, receipts_topic, status_topic
from facefleet.schedule import Schedule

COMMIT_BATCH = 32  # faces per commit
QUEUE_SIZE = 4 * COMMIT_BATCH  # faces not committed yet; when it is full, the camera waits
BURST = 64  # faces handed to the socket at once, before receipts are read again
CHECK_EVERY = 2.0  # seconds between looks at health, metrics and status
DISK_RETRY = 1.0  # seconds
MOST_TIMED = 8192  # pending faces of which the time is kept; the others count from their frame
LAST_RECEIPTS = 2.0  # seconds to wait for the receipts of faces in flight when stopping

CAPTURED = Counter("facefleet_faces_captured", "Faces put into the outbox")
CONFIRMED = Counter("facefleet_faces_confirmed", "Faces confirmed to be in the bucket")
EVICTED = Counter("facefleet_faces_evicted", "Faces that a full outbox evicted to make room")
RESENT = Counter("facefleet_faces_resent", "Transmissions of a face after its first")
PENDING = Gauge("facefleet_outbox_pending_faces", "Faces in the outbox, not confirmed yet")
PENDING_BYTES = Gauge("facefleet_outbox_pending_bytes", "Size of the faces that are pending")
DRAINED_IN = Gauge(
    "facefleet_outbox_drained_in_seconds",
    "Forecast of when the backlog is drained; NaN while unknown, or not to be expected",
)
FULL_IN = Gauge(
    "facefleet_outbox_full_in_seconds",
    "Forecast of when the outbox is full and evicts faces; NaN likewise",
)
CLONED = Gauge(
    "facefleet_outbox_cloned", "1 for an hour after a sign of another device with this name"
)
IN_FLIGHT = Gauge("facefleet_faces_in_flight", "Faces sent but not confirmed yet")
DELAY = Histogram(
    "facefleet_delay_seconds",
    "From the choice of a face to its confirmation",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600),
)


class _Taken(NamedTuple):
    """A face from the camera's thread."""

    captured: datetime
    jpeg: bytes
    rank: Rank
    at: float  # Unix time; later than `captured` if the face was held back as the best of its visit


class Sender:
    """Takes faces from a camera's thread and delivers them from its own thread.

    `about_camera` returns what the status reports about the camera, in addition to the counts.
    `coverage` measures what the camera sees; the sender records it. Faces are sent only within
    `hours`, if given. The sender sets the health conditions "broker", "outbox" and "delivery".
    """

    def __init__(
        self,
        outbox: Outbox,
        broker: AnyUrl,
        qos: int,
        window: int,
        health: Health,
        about_camera: Callable[[], dict[str, object]] = dict,
        coverage: Meter | None = None,
        hours: Schedule | None = None,
    ) -> None:
        self._outbox = outbox
        self._qos = qos
        self._health = health
        self._window = Window(window, outbox.backlog)
        self._intake: queue.Queue[_Taken] = queue.Queue(QUEUE_SIZE)
        self._batch: list[_Taken] = []  # taken from the queue, not committed yet
        self._taken: dict[int, float] = {}  # Unix time at which a pending face was taken, by seq
        self._fresh: dict[int, tuple[FaceName, bytes]] = {}  # cache of faces just written
        self._delays: deque[float] = deque(maxlen=1024)
        self._last_hour = LastHour()
        self._answers = Answers()
        self._forecaster = Forecaster()
        self._forecast = Forecast()
        self._silence: str | None = None  # as last logged
        self._about_camera = about_camera
        self._coverage = coverage
        self._hours = hours
        self._instance = new_epoch()  # tells a status of this process from those of a clone
        self._cloned_until = -math.inf  # monotonic seconds
        self._status = status_topic(outbox.device, outbox.camera)
        self._reporting = Reporting()
        self._connection = Connection(
            broker,
            f"detector-{outbox.device}-{outbox.camera}",
            subscriptions=[(receipts_topic(outbox.device, outbox.camera), qos), (HELLO, 0)],
            on_message=self._on_message,
            on_up=self._on_up,
            on_down=lambda sentence: health.set("broker", sentence),
            will=Will(self._status, json.dumps({"state": "offline"}).encode()),
        )
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._wake_requested = False
        self._stopping = False
        self._stop_by = math.inf  # monotonic seconds
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sender")

    # -- called by the camera's thread ---------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def put(
        self, captured: datetime, jpeg: bytes, stop: threading.Event, rank: Rank = Rank.FIRST
    ) -> None:
        """Queue a face. Wait while the queue is full, unless `stop` is set.

        Raises the error that ended the sender, if any.
        """
        taken = _Taken(captured, jpeg, rank, time.time())
        while True:
            self.check()
            try:
                self._intake.put(taken, timeout=0.2)
            except queue.Full:
                if stop.is_set():
                    log.warning("face dropped: the outbox accepted no more while stopping")
                    return
            else:
                self._wake_loop()
                return

    @property
    def resent(self) -> int:
        """Transmissions of faces after their first."""
        return self._window.resent

    def check(self) -> None:
        """Raise the error that ended the sender, if any."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Commit all queued faces, wait briefly for receipts, and disconnect.

        Safe to call twice.
        """
        self._stop_by = time.monotonic() + LAST_RECEIPTS
        self._stopping = True
        if self._thread.is_alive():
            self._wake_requested = False  # the loop may have checked `_stopping` just before
            self._wake_loop()
            self._thread.join()

    def _wake_loop(self) -> None:
        if self._wake_requested:  # waking a thread costs more than handling a face
            return
        self._wake_requested = True
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake.set)

    # -- the sender's own thread ---------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main())
        except sqlite3.DatabaseError as error:
            self._failure = OutboxError(
                f"the outbox {self._outbox.path} can no longer be used ({error}): restart the "
                "detector, which checks the file and sets it aside if it is damaged"
            )
        except BaseException as error:
            self._failure = error

    async def _main(self) -> None:
        connection = asyncio.create_task(self._connection.run())
        connection.add_done_callback(lambda _task: self._wake.set())
        status = asyncio.create_task(self._report())
        try:
            while not (self._stopping and self._is_idle()) and not connection.done():
                self._wake.clear()
                self._wake_requested = False
                wait = min(self._work(), self._stop_by - time.monotonic())
                self._health.beat()
                if wait > 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), wait)
                else:
                    await asyncio.sleep(0)
            self._record_coverage(running=True)
        finally:
            status.cancel()
            self._connection.publish(
                self._status, json.dumps({"state": "offline"}).encode(), retain=True
            )
            connection.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connection
            self._outbox.close()

    def _work(self) -> float:
        """Commit queued faces and send those due. Return the seconds until the next call."""
        try:
            self._commit()
        except NoStorageError as error:
            self._health.set("outbox", str(error))
            if self._stopping:
                raise
            return DISK_RETRY
        now = time.monotonic()
        may_send = self._connection.is_up and not self._is_paused
        due = self._window.due(now, BURST) if may_send else []
        for seq in due:
            self._send(seq)
        if len(due) == BURST or not self._intake.empty():
            return 0
        wake = self._window.wake() if may_send else None
        return CHECK_EVERY if wake is None else min(CHECK_EVERY, max(0.001, wake - now))

    @property
    def _is_paused(self) -> bool:
        return self._hours is not None and not self._hours.active(datetime.now(UTC))

    @property
    def _is_cloned(self) -> bool:
        return time.monotonic() < self._cloned_until

    def _is_idle(self) -> bool:
        awaits_receipts = self._connection.is_up and self._outbox.counts.pending > 0
        committed = self._intake.empty() and not self._batch
        return committed and (not awaits_receipts or time.monotonic() >= self._stop_by)

    def _commit(self) -> None:
        batch = self._batch  # kept while the disk is full
        with contextlib.suppress(queue.Empty):
            while len(batch) < COMMIT_BATCH:
                batch.append(self._intake.get_nowait())
        if not batch:
            return
        names, evicted = self._outbox.add(
            ((face.captured, face.jpeg) for face in batch), [face.rank for face in batch]
        )
        self._batch = []
        self._health.set("outbox", None)
        CAPTURED.inc(len(names))
        if evicted:
            EVICTED.inc(len(evicted))
            self._window.forget(evicted)
            for seq in evicted:
                self._fresh.pop(seq, None)
                self._taken.pop(seq, None)
        for name, face in zip(names, batch, strict=True):
            self._fresh[name.seq] = name, face.jpeg
            if len(self._taken) < MOST_TIMED:
                self._taken[name.seq] = face.at
            if (late := self._window.fresh(name.seq, len(face.jpeg), face.rank)) is not None:
                self._fresh.pop(late, None)

    def _send(self, seq: int) -> None:
        try:
            face = self._fresh.pop(seq, None) or self._outbox.read(seq)
        except DamagedFaceError as error:
            self._give_up([(seq, str(error))])
            face = None
        if face is None:  # damaged, or confirmed before it could be resent
            self._window.forget([seq])
            self._wake.set()  # there is room for other faces now
        else:
            name, jpeg = face
            self._answers.sent(time.monotonic())
            # A face that the socket does not accept counts as lost in flight and is resent.
            self._connection.publish(name.topic, jpeg, self._qos)

    def _on_up(self) -> None:
        self._health.set("broker", None)
        self._window.connected(time.monotonic())
        self._reporting.restart()
        self._wake.set()

    def _on_message(self, topic: str, payload: bytes, retain: bool) -> None:
        if topic == HELLO:
            self._window.hello(time.monotonic())
        elif (receipt := Receipt.decode(payload)) is None:
            log.warning("unreadable receipt", topic=topic, size=len(payload))
        elif receipt.clone:
            self._on_clone(receipt.epoch)
        elif receipt.epoch in self._outbox.epochs:
            self._process_receipt(receipt)
        self._wake.set()

    def _process_receipt(self, receipt: Receipt) -> None:
        now, wall = time.monotonic(), time.time()
        refused = [row for row in receipt.refused if self._outbox.pending_tag(row[0]) == row[1]]
        dead = [row for row in refused if self._window.refused(row[0], now)]
        for _, _, reason in (*receipt.quarantined, *refused):
            self._answers.not_stored(reason, now)
        if receipt.stored:
            self._answers.stored(now)
        quarantined = [(seq, tag) for seq, tag, _ in receipt.quarantined]
        recorded = self._outbox.record_outcomes(receipt.stored, quarantined, dead, receipt.day)
        self._give_up(self._window.confirmed((seq for seq, _ in recorded), now))
        CONFIRMED.inc(len(recorded))
        self._last_hour.add(len(recorded), now)
        for seq, captured in recorded:
            # The clock may have been set back.
            delay = max(0.0, wall - self._taken.pop(seq, captured))
            self._delays.append(delay)
            DELAY.observe(delay)
        seqs = {seq for seq, _ in recorded}
        others = [face for face in (*receipt.stored, *quarantined) if face[0] not in seqs]
        outbox = self._outbox
        if is_foreign(receipt.epoch, others, outbox.epochs, outbox.counts.captured, outbox.tag):
            self._on_clone(receipt.epoch)
        for seq, _, reason in receipt.quarantined:
            if seq in seqs:
                log.warning("face quarantined", seq=seq, reason=reason)
        for seq, _, reason in refused:
            log.warning("face refused", seq=seq, reason=reason)
        for seq, _, _ in dead:
            log.error("face refused permanently: see `facefleet outbox`", seq=seq)

    def _on_clone(self, epoch: str) -> None:
        """Leave `epoch` to the other device that uses it. No face is renamed, nor lost."""
        is_news = time.monotonic() >= self._cloned_until
        self._cloned_until = time.monotonic() + CLONE_SEEN
        renewed = epoch == self._outbox.epoch and self._outbox.begin_epoch()
        if is_news or renewed:
            log.error(
                "another device uses this name: its disk is a copy of this one's, or this one's is "
                "a copy; give one of them a name of its own",
                epoch=self._outbox.epoch,
                former_epoch=epoch if renewed else None,
            )

    def _give_up(self, faces: Iterable[tuple[int, str]]) -> None:
        for seq, reason in faces:
            if (tag := self._outbox.pending_tag(seq)) is not None:
                self._outbox.record_outcomes([], dead=[(seq, tag, reason)])
                self._taken.pop(seq, None)
                self._answers.not_stored(reason, time.monotonic())
                log.error("face given up: see `facefleet outbox`", seq=seq, reason=reason)

    async def _report(self) -> None:
        """Keep the retained status and the metrics up to date."""
        evicted, resent = self._outbox.counts.evicted, 0
        while True:
            if (now := self._outbox.counts.evicted) > evicted:
                log.warning("outbox evicted faces to make room", faces=now - evicted, all=now)
                evicted = now
            if self._outbox.changed_elsewhere():
                self._window.reread()
            try:
                self._outbox.keep_in_place()
            except NoStorageError as error:
                self._health.set("outbox", str(error))
            self._health.set("delivery", self._delivery_problem(time.monotonic()))
            self._outbox.prune()
            self._record_coverage(running=False)
            PENDING.set(self._outbox.counts.pending)
            IN_FLIGHT.set(len(self._window))
            CLONED.set(self._is_cloned)
            self._update_forecast(time.monotonic())
            RESENT.inc(self._window.resent - resent)
            resent = self._window.resent
            self._publish_status(time.monotonic())
            await asyncio.sleep(CHECK_EVERY)

    def _update_forecast(self, now: float) -> None:
        fill = self._outbox.fill()
        found = self._forecaster.update(fill, now)
        has_backlog = self._outbox.counts.pending > len(self._window)
        self._forecast = found if has_backlog else Forecast()
        PENDING_BYTES.set(fill.pending)
        for gauge, seconds in zip((DRAINED_IN, FULL_IN), self._forecast, strict=True):
            gauge.set(math.nan if seconds is None else seconds)

    def _record_coverage(self, *, running: bool) -> None:
        """Record the minutes that are over, and the running one if the detector stops."""
        if self._coverage is None:
            return
        minutes = self._coverage.minutes(time.monotonic(), time.time(), running=running)
        if minutes and self._outbox.record_coverage(minutes):
            self._coverage.forget(minutes)

    def _publish_status(self, now: float) -> None:
        status = self._state()
        if not self._reporting.is_due(status, now):
            return
        # Without what is 0 or unknown, but for the frame rate: no frames are a fault.
        brief = {name: value for name, value in status.items() if value or name == "fps"}
        message = json.dumps(brief, separators=(",", ":")).encode()
        if self._connection.publish(self._status, message, retain=True):
            self._reporting.published(status, now)

    def _delivery_problem(self, now: float) -> str | None:
        """Return why faces are not delivered, or None.

        An outage is only logged if delivery has worked before: the outbox is made for outages, and
        a rollout that waits for readiness must not wait for the end of one. If no face has ever
        been delivered, the configuration may be wrong.
        """
        if self._is_paused or not len(self._window):
            self._answers.nothing_sent()
        silence = self._answers.silence_problem(now)
        has_worked = self._outbox.counts.stored > 0
        if has_worked and silence and not self._silence:
            log.warning("faces wait in the outbox", problem=silence)
        self._silence = silence
        return self._answers.unstored_problem(now) or (None if has_worked else silence)

    def _state(self) -> dict:
        p50, p99 = _percentiles(self._delays)
        return {
            "state": "online",
            "camera": "ok",
            **self._about_camera(),
            "epoch": self._outbox.epoch,
            "instance": self._instance,
            "cloned": self._is_cloned,
            **asdict(self._outbox.counts),
            "paused": self._is_paused,
            "resent": self._window.resent,
            "p50": p50 and round(p50, 3),
            "p99": p99 and round(p99, 3),
            "drained_in": _whole(self._forecast.drained_in),
            "full_in": _whole(self._forecast.full_in),
            "oldest": _whole(self._outbox.oldest_age(time.time())),
            "hour": self._last_hour.count(time.monotonic()),
            "disk": _megabytes(self._outbox.disk_free()),
        }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds))  # what is 0 is left out of a status


def _megabytes(size: int | None) -> int | None:
    return None if size is None else _whole(size / 1e6)


def _percentiles(delays: Iterable[float]) -> tuple[float | None, float | None]:
    """Return the median and the 99th percentile in seconds, or None for no delays."""
    ordered = sorted(delays)
    if not ordered:
        return None, None
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
