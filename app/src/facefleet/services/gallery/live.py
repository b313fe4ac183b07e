"""Announce new faces to open pages as processors store them.

An open page causes no requests to the bucket.
"""

import asyncio
import os
import secrets
import socket
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from facefleet.bucket import Bucket, BucketError
from facefleet.logging import log
from facefleet.mqtt import Connection
from facefleet.news import STORED, decode
from facefleet.services.gallery.cameras import Cameras
from facefleet.services.gallery.listing import Face
from facefleet.services.gallery.recent import Recent
from facefleet.settings import GallerySettings

BATCH_DELAY = 0.5  # seconds that a face waits to be announced with others
MAX_FACES = 120  # faces per batch; a page could not show more
MAX_EVENTS = 64  # events that a page which reconnects can catch up with
FIRST_PAUSE, LAST_PAUSE = 2.0, 60.0  # seconds between checks of a failing bucket
NO_BROKER = "this gallery has no broker: set FACEFLEET_BROKER"


class Event(NamedTuple):
    """An event for an open page.

    `live`: new faces will be announced. `deaf`: they will not, because of `sentence`. `fault`: the
    bucket fails with `sentence`. `faces`: faces that were stored; `more`: there were too many to
    list. `refresh`: the page should be loaded again.
    """

    kind: Literal["live", "deaf", "fault", "faces", "refresh"]
    sentence: str = ""
    faces: tuple[Face, ...] = ()
    more: bool = False
    mark: str = ""
    """The event's position. A page that sends it receives all later events."""


class Live:
    """Distributes announcements of the broker and faults of the bucket to open pages.

    All methods but `answered` must be called on the running loop.
    """

    def __init__(self, settings: GallerySettings, cameras: Cameras, recent: Recent) -> None:
        self._cameras, self._recent = cameras, recent
        self._watchers: set[asyncio.Queue[Event | None]] = set()
        self._run_id = secrets.token_hex(4)  # of this process
        self._history: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._number = 0
        self._batch: list[Face] = []
        self._more = False
        self._deaf: str | None = "the broker has not answered yet" if settings.broker else NO_BROKER
        self._fault: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._polling: asyncio.Task[None] | None = None
        self._bucket: Bucket | None = None
        self._connection: Connection | None = None
        if settings.broker:
            self._connection = Connection(
                settings.broker,
                f"gallery-{socket.gethostname()}-{os.getpid()}",
                subscriptions=[(STORED, 0)],
                on_message=self._on_message,
                on_up=self._on_up,
                on_down=self._on_down,
                tls=settings.tls,
            )

    @property
    def mark(self) -> str:
        """The position of the latest event."""
        return f"{self._run_id}-{self._number}"

    async def run(self, bucket: Bucket) -> None:
        """Listen until cancelled."""
        self._loop, self._bucket = asyncio.get_running_loop(), bucket
        if self._connection is None:
            await self._loop.create_future()
        await self._connection.run()

    def answered(self, problem: str | None) -> None:
        """Record a result of the bucket: a problem, or None. May be called in any thread."""
        if problem != self._fault and self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_answer, problem)

    async def watch(self, ping: float, mark: str) -> AsyncIterator[Event | None]:
        """Yield events since `mark` until `close`, and None after each `ping` idle seconds."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(2 * MAX_EVENTS)
        for event in (*self._state(), *self._since(mark)):
            queue.put_nowait(event)
        self._watchers.add(queue)
        self._poll_bucket()
        try:
            while queue in self._watchers:
                try:
                    async with asyncio.timeout(ping):
                        event = await queue.get()
                except TimeoutError:
                    yield None
                else:
                    if event is not None:
                        yield event
        finally:
            self._watchers.discard(queue)

    def close(self) -> None:
        """End every watch."""
        watchers, self._watchers = self._watchers, set()
        for queue in watchers:
            _enqueue(queue, None)

    # -- the broker ----------------------------------------------------------------------------

    def _on_up(self) -> None:
        log.info("receiving new faces")
        self._deaf = None
        self._recent.connect(True)
        self._broadcast(*self._state())
        self._broadcast_numbered(Event("refresh"))  # faces may have been stored meanwhile

    def _on_down(self, sentence: str) -> None:
        if sentence != self._deaf:
            log.warning("not receiving new faces", problem=sentence)
            if self._deaf is None:
                self._recent.connect(False)
            self._deaf = sentence
            self._broadcast(*self._state())

    def _on_message(self, topic: str, payload: bytes, _retain: bool) -> None:
        now = datetime.now(UTC)  # the processor has just stored them
        for name in decode(topic, payload):
            face = Face(name, now)
            self._cameras.hear(face.camera)
            self._recent.hear(face)
            if not self._batch:
                asyncio.get_running_loop().call_later(BATCH_DELAY, self._broadcast_batch)
            if len(self._batch) < MAX_FACES:
                self._batch.append(face)
            else:
                self._more = True

    def _broadcast_batch(self) -> None:
        self._broadcast_numbered(Event("faces", faces=tuple(self._batch), more=self._more))
        self._batch, self._more = [], False

    # -- the bucket ----------------------------------------------------------------------------

    def _on_answer(self, problem: str | None) -> None:
        if problem == self._fault:
            return
        self._fault = problem
        self._broadcast(*self._state())
        if problem is None:
            self._broadcast_numbered(Event("refresh"))
        self._poll_bucket()

    def _poll_bucket(self) -> None:
        """Check the bucket regularly while it fails and there are open pages."""
        if self._fault is not None and self._watchers and self._polling is None:
            self._polling = asyncio.create_task(self._check_bucket())

    async def _check_bucket(self) -> None:
        pause = FIRST_PAUSE
        while self._fault is not None and self._watchers:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)
            try:
                await asyncio.to_thread(self._bucket.check)
            except BucketError:
                continue  # the bucket has called `answered`, as it does after a success
        self._polling = None

    # -- open pages ----------------------------------------------------------------------------

    def _state(self) -> list[Event]:
        state = Event("live") if self._deaf is None else Event("deaf", self._deaf)
        return [state] if self._fault is None else [state, Event("fault", self._fault)]

    def _since(self, mark: str) -> list[Event]:
        """Return the events after `mark`, or a refresh if these are no longer remembered."""
        if mark == self.mark:
            return []
        marks = [event.mark for event in self._history]
        if mark not in marks:
            return [Event("refresh", mark=self.mark)]
        return list(self._history)[marks.index(mark) + 1 :]

    def _broadcast_numbered(self, event: Event) -> None:
        self._number += 1
        event = event._replace(mark=self.mark)
        self._history.append(event)
        self._broadcast(event)

    def _broadcast(self, *events: Event) -> None:
        for queue in self._watchers:
            for event in events:
                _enqueue(queue, event)


def _enqueue(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    """Queue an event. If the page has fallen behind, replace its queue by a refresh."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(Event("refresh"))
    queue.put_nowait(event)
