"""The newest faces of the cameras that were looked at, kept up to date by what is heard since.

While the broker is heard without a gap, a second look at a camera costs no request.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

from facefleet.services.gallery.listing import FACES, Camera, Face, Listing, Look, is_future

KEPT = 60.0  # seconds: faces are also erased, and expire, of which nobody tells
KEPT_DEAF = 10.0  # seconds, while nothing is heard: many pages at once are one question
_CAMERAS = 500
_REQUESTS_AT_A_TIME = 16


@dataclass(slots=True)
class _Kept:
    look: "Future[Look]"
    since: float  # monotonic
    heard: list[Face]  # while it was looked for


class Recent:
    """Looks at cameras, several at a time. May raise BucketError; any thread may ask."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._pool = ThreadPoolExecutor(_REQUESTS_AT_A_TIME, thread_name_prefix="listing")
        self._lock = Lock()
        self._kept: OrderedDict[Camera, _Kept] = OrderedDict()
        self._hears = False

    def looks(self, cameras: Iterable[Camera], before: str | None = None) -> list[Look]:
        """One look a camera; those at what is before a key are not kept."""
        if before is not None:
            return list(
                self._pool.map(lambda camera: self._listing.newest(camera, before), cameras)
            )
        return [look.result() for look in [self._look(camera) for camera in cameras]]

    def hear(self, face: Face) -> None:
        """A face has been stored."""
        with self._lock:
            kept = self._kept.get(face.camera)
            if kept is None:
                return
            if kept.look.done() and not kept.look.exception():
                kept.look = _done(_with(kept.look.result(), [face]))
            else:
                kept.heard.append(face)

    def forget(self, camera: Camera) -> None:
        """What is kept of a camera is wrong: it is looked at again."""
        with self._lock:
            self._kept.pop(camera, None)

    def connect(self, hears: bool) -> None:
        """Whether everything is heard from now on; what is kept is looked at again."""
        with self._lock:
            self._hears = hears
            self._kept.clear()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, camera: Camera) -> "Future[Look]":
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(camera)
            if kept and now - kept.since < (KEPT if self._hears else KEPT_DEAF):
                return kept.look
            kept = self._kept[camera] = _Kept(Future(), now, [])
            self._kept.move_to_end(camera)
            if len(self._kept) > _CAMERAS:
                self._kept.popitem(last=False)
            look = kept.look
        self._pool.submit(self._fill, camera, kept, look)
        return look

    def _fill(self, camera: Camera, kept: _Kept, look: "Future[Look]") -> None:
        try:
            found = self._listing.newest(camera)
        except BaseException as error:  # for who waits
            with self._lock:
                if self._kept.get(camera) is kept:
                    del self._kept[camera]
            look.set_exception(error)
        else:
            with self._lock:
                look.set_result(_with(found, kept.heard))


def _with(look: Look, heard: list[Face]) -> Look:
    """The look as it would be now; what is older than it reaches has no place in it."""
    known = {face.name for face in (*look.faces, *look.future)}
    new = [face for face in heard if face.name not in known]
    reach = "" if look.is_whole else look.faces[-1].moment if look.faces else "~"
    past = [face for face in new if not is_future(face) and face.moment > reach]
    faces = sorted([*look.faces, *past], key=lambda face: face.moment, reverse=True)
    future = [*look.future, *(face for face in new if is_future(face))][:FACES]
    return replace(
        look,
        faces=faces[:FACES],
        is_whole=look.is_whole and len(faces) <= FACES,
        future=future,
    )


def _done(look: Look) -> "Future[Look]":
    future: Future[Look] = Future()
    future.set_result(look)
    return future
