"""Cache the newest faces of each requested camera, and update them by announcements.

While announcements arrive without a gap, requesting a camera again costs no request to the bucket.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock

from facefleet.services.gallery.listing import (
    FACES_PER_PAGE,
    Camera,
    Face,
    Listing,
    Look,
    is_future,
)

CACHE_SECONDS = 60.0  # as erased and expired faces are not announced
CACHE_SECONDS_OFFLINE = 10.0  # without announcements; for all pages that are loaded meanwhile
_MAX_CAMERAS = 500
_CONCURRENT_REQUESTS = 16


@dataclass(slots=True)
class _Kept:
    look: "Future[Look]"
    since: float  # monotonic
    heard: list[Face]  # announced while the camera was being listed


class Recent:
    """Cached results per camera, requested concurrently. Thread-safe. May raise BucketError."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._pool = ThreadPoolExecutor(_CONCURRENT_REQUESTS, thread_name_prefix="listing")
        self._lock = Lock()
        self._kept: OrderedDict[Camera, _Kept] = OrderedDict()
        self._hears = False

    def looks(self, cameras: Iterable[Camera], before: str | None = None) -> list[Look]:
        """Return one result per camera. Results before the key `before` are not cached."""
        if before is not None:
            return list(
                self._pool.map(lambda camera: self._listing.newest(camera, before), cameras)
            )
        return [look.result() for look in [self._look(camera) for camera in cameras]]

    def hear(self, face: Face) -> None:
        """Record that a face has been stored."""
        with self._lock:
            kept = self._kept.get(face.camera)
            if kept is None:
                return
            if kept.look.done() and not kept.look.exception():
                kept.look = _done(_with(kept.look.result(), [face]))
            else:
                kept.heard.append(face)

    def forget(self, camera: Camera) -> None:
        """Drop the outdated result of a camera."""
        with self._lock:
            self._kept.pop(camera, None)

    def connect(self, hears: bool) -> None:
        """Set whether announcements arrive from now on, and drop all results."""
        with self._lock:
            self._hears = hears
            self._kept.clear()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, camera: Camera) -> "Future[Look]":
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(camera)
            limit = CACHE_SECONDS if self._hears else CACHE_SECONDS_OFFLINE
            if kept and now - kept.since < limit:
                return kept.look
            kept = self._kept[camera] = _Kept(Future(), now, [])
            self._kept.move_to_end(camera)
            if len(self._kept) > _MAX_CAMERAS:
                self._kept.popitem(last=False)
            look = kept.look
        self._pool.submit(self._fill, camera, kept, look)
        return look

    def _fill(self, camera: Camera, kept: _Kept, look: "Future[Look]") -> None:
        try:
            found = self._listing.newest(camera)
        except BaseException as error:  # passed to the waiting callers
            with self._lock:
                if self._kept.get(camera) is kept:
                    del self._kept[camera]
            look.set_exception(error)
        else:
            with self._lock:
                look.set_result(_with(found, kept.heard))


def _with(look: Look, heard: list[Face]) -> Look:
    """Return the result with announced faces, except those older than the result's range."""
    known = {face.name for face in (*look.faces, *look.future)}
    new = [face for face in heard if face.name not in known]
    reach = "" if look.is_whole else look.faces[-1].moment if look.faces else "~"
    past = [face for face in new if not is_future(face) and face.moment > reach]
    faces = sorted([*look.faces, *past], key=lambda face: face.moment, reverse=True)
    future = [*look.future, *(face for face in new if is_future(face))][:FACES_PER_PAGE]
    return replace(
        look,
        faces=faces[:FACES_PER_PAGE],
        is_whole=look.is_whole and len(faces) <= FACES_PER_PAGE,
        future=future,
    )


def _done(look: Look) -> "Future[Look]":
    future: Future[Look] = Future()
    future.set_result(look)
    return future
