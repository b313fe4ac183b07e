"""New faces as they come: one poller of the bucket for everybody who watches."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal, NamedTuple

from facefleet.services.gallery.bucket import BucketError
from facefleet.services.gallery.listing import Camera, Listing, face_of, stamp
from facefleet.telemetry import Health

_PERIOD = 1.0  # seconds between polls
_POLLS_A_DISCOVERY = 5
_OVERLAP = timedelta(seconds=10)
_EVENTS_HELD = 64


class Event(NamedTuple):
    """`faces`: keys, oldest first. `fault`: a sentence. `refresh`: look at the page again."""

    kind: Literal["faces", "fault", "refresh"]
    keys: tuple[str, ...] = ()
    sentence: str = ""


class Poller:
    """Finds what is new since it was asked last: one request a camera."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._polls = 0
        self._marks: dict[Camera, str] = {}
        self._seen: dict[Camera, set[str]] = {}

    def poll(self) -> Event | None:
        """The new faces, or None. The first time, and when cameras have come, `refresh`.

        Raises BucketError; the next poll then finds what this one missed.
        """
        found = False
        if self._polls % _POLLS_A_DISCOVERY == 0:
            found = self._discover()
        self._polls += 1

        new: list[str] = []
        pages = self._listing.after(list(self._marks.values()))
        for camera, (keys, truncated) in zip(list(self._marks), pages, strict=True):
            new += [key for key in keys if key not in self._seen[camera]]
            if keys:
                self._advance(camera, keys, truncated)
        if found:
            return Event("refresh")
        return Event("faces", tuple(new)) if new else None

    def _discover(self) -> bool:
        known = self._marks.keys()
        cameras = [camera for camera in self._listing.cameras() if camera not in known]
        newest = self._listing.latest(cameras, 1)
        for camera, keys in zip(cameras, newest, strict=True):
            self._marks[camera] = camera.prefix
            self._seen[camera] = set()
            if keys:
                self._advance(camera, keys, truncated=False)
        return bool(cameras) or self._polls == 0

    def _advance(self, camera: Camera, keys: list[str], truncated: bool) -> None:
        """Begin next time a little before the newest: faces may be stored out of order."""
        mark = keys[-1]
        if not truncated:
            mark = camera.prefix + stamp(face_of(mark).captured - _OVERLAP)
        mark = self._marks[camera] = max(mark, self._marks[camera])
        self._seen[camera] = {key for key in self._seen[camera].union(keys) if key > mark}


class Live:
    """Tells watchers of new faces and of faults; polls only while somebody watches."""

    def __init__(self, listing: Listing, health: Health) -> None:
        self._listing = listing
        self._health = health
        self._watchers: set[asyncio.Queue[Event | None]] = set()
        self._polling: asyncio.Task[None] | None = None
        self._state: Event | None = None  # the last fault or refresh: how things stand

    @property
    def watchers(self) -> int:
        return len(self._watchers)

    async def watch(self, ping: float) -> AsyncIterator[Event | None]:
        """Events until `close`, beginning with how things stand; None after `ping` idle seconds."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_EVENTS_HELD)
        self._watchers.add(queue)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        elif self._state is not None:
            queue.put_nowait(self._state)
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
            if not self._watchers:
                self._rest()

    def close(self) -> None:
        """End every watch."""
        watchers, self._watchers = self._watchers, set()
        self._rest()
        for queue in watchers:
            _put(queue, None)

    def _rest(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
        self._polling = self._state = None

    async def _poll(self) -> None:
        poller = Poller(self._listing)
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _PERIOD
            try:
                event = await asyncio.to_thread(poller.poll)
            except BucketError as error:
                self._health.set("bucket", str(error))
                event = Event("fault", sentence=str(error))
            else:
                self._health.set("bucket", None)
                if self._state and self._state.kind == "fault":
                    event = Event("refresh")
            if event is not None:
                self._tell(event)
            await asyncio.sleep(due - clock())

    def _tell(self, event: Event) -> None:
        if event.kind == "fault" and event == self._state:
            return  # told already
        if event.kind != "faces":
            self._state = event
        for queue in self._watchers:
            _put(queue, event)


def _put(queue: asyncio.Queue[Event | None], event: Event | None) -> None:
    """Put an event; a watcher that has fallen behind looks at the page again instead."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(Event("refresh"))
    queue.put_nowait(event)
