"""New faces as they are stored: heard from the processors, told to everybody who watches.

Nobody asks the bucket meanwhile: an open page costs no request.
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

BATCH = 0.5  # seconds that a face waits for company
MOST_FACES = 120  # of a batch that are told; a page could not show more
REMEMBERED = 64  # batches that a page which was cut off can catch up with
FIRST_PAUSE, LAST_PAUSE = 2.0, 60.0  # seconds between looks at a bucket that fails
NO_BROKER = "this gallery has no broker: set FACEFLEET_BROKER"


class Event(NamedTuple):
    """What a watcher is told.

    `live`: new faces will be told. `deaf`, `fault`: they will not, or the bucket fails; a sentence.
    `faces`: some that were stored, and whether there were more. `refresh`: look at the page again.
    """

    kind: Literal["live", "deaf", "fault", "faces", "refresh"]
    sentence: str = ""
    faces: tuple[Face, ...] = ()
    more: bool = False
    mark: str = ""
    """Where in the story it is: who says it is told what came after."""


class Live:
    """What is heard of the broker and known of the bucket, for the pages that watch.

    On the running loop, but for `answered`.
    """

    def __init__(self, settings: GallerySettings, cameras: Cameras, recent: Recent) -> None:
        self._cameras, self._recent = cameras, recent
        self._watchers: set[asyncio.Queue[Event | None]] = set()
        self._story = secrets.token_hex(4)  # of this process
        self._told: deque[Event] = deque(maxlen=REMEMBERED)
        self._number = 0
        self._batch: list[Face] = []
        self._more = False
        self._deaf: str | None = "the broker has not answered yet" if settings.broker else NO_BROKER
        self._fault: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mending: asyncio.Task[None] | None = None
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
        """Where the story is now."""
        return f"{self._story}-{self._number}"

    async def run(self, bucket: Bucket) -> None:
        """Listen until cancelled."""
        self._loop, self._bucket = asyncio.get_running_loop(), bucket
        if self._connection is None:
            await self._loop.create_future()
        await self._connection.run()

    def answered(self, problem: str | None) -> None:
        """What the bucket has said: a sentence, or None where it does as it should. Any thread."""
        if problem != self._fault and self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_answer, problem)

    async def watch(self, ping: float, mark: str) -> AsyncIterator[Event | None]:
        """Events since `mark` until `close`; None after `ping` idle seconds."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(2 * REMEMBERED)
        for event in (*self._state(), *self._since(mark)):
            queue.put_nowait(event)
        self._watchers.add(queue)
        self._mend()
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
            _put(queue, None)

    # -- what is heard -------------------------------------------------------------------------

    def _on_up(self) -> None:
        log.info("new faces are heard of")
        self._deaf = None
        self._recent.connect(True)
        self._tell(*self._state())
        self._tell_numbered(Event("refresh"))  # whatever has come meanwhile

    def _on_down(self, sentence: str) -> None:
        if sentence != self._deaf:
            log.warning("new faces are not heard of", problem=sentence)
            if self._deaf is None:
                self._recent.connect(False)
            self._deaf = sentence
            self._tell(*self._state())

    def _on_message(self, topic: str, payload: bytes, _retain: bool) -> None:
        now = datetime.now(UTC)  # the processor has just stored them
        for name in decode(topic, payload):
            face = Face(name, now)
            self._cameras.hear(face.camera)
            self._recent.hear(face)
            if not self._batch:
                asyncio.get_running_loop().call_later(BATCH, self._tell_batch)
            if len(self._batch) < MOST_FACES:
                self._batch.append(face)
            else:
                self._more = True

    def _tell_batch(self) -> None:
        self._tell_numbered(Event("faces", faces=tuple(self._batch), more=self._more))
        self._batch, self._more = [], False

    # -- what the bucket answers ---------------------------------------------------------------

    def _on_answer(self, problem: str | None) -> None:
        if problem == self._fault:
            return
        self._fault = problem
        self._tell(*self._state())
        if problem is None:
            self._tell_numbered(Event("refresh"))
        self._mend()

    def _mend(self) -> None:
        """While the bucket fails and somebody watches, look whether it is there again."""
        if self._fault is not None and self._watchers and self._mending is None:
            self._mending = asyncio.create_task(self._look_again())

    async def _look_again(self) -> None:
        pause = FIRST_PAUSE
        while self._fault is not None and self._watchers:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)
            try:
                await asyncio.to_thread(self._bucket.check)
            except BucketError:
                continue  # `answered` has been told, as of a success
        self._mending = None

    # -- who is told ---------------------------------------------------------------------------

    def _state(self) -> list[Event]:
        state = Event("live") if self._deaf is None else Event("deaf", self._deaf)
        return [state] if self._fault is None else [state, Event("fault", self._fault)]

    def _since(self, mark: str) -> list[Event]:
        """What was told after `mark`; where that is not remembered, that a look is needed."""
        if mark == self.mark:
            return []
        marks = [event.mark for event in self._told]
        if mark not in marks:
            return [Event("refresh", mark=self.mark)]
        return list(self._told)[marks.index(mark) + 1 :]

    def _tell_numbered(self, event: Event) -> None:
        self._number += 1
        event = event._replace(mark=self.mark)
        self._told.append(event)
        self._tell(event)

    def _tell(self, *events: Event) -> None:
        for queue in self._watchers:
            for event in events:
                _put(queue, event)


def _put(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    """Put an event; a watcher that has fallen behind looks at the page again instead."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(Event("refresh"))
    queue.put_nowait(event)
