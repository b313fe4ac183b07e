"""The known devices and cameras: listed from the bucket on demand, and learned from announcements.

Only cameras of the devices on the page are listed. A device that invents cameras, however many,
cannot displace other devices.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, zip_longest
from threading import Lock

from facefleet.bucket import Bucket
from facefleet.protocol import is_label
from facefleet.services.gallery.listing import Camera

CAMERAS_PER_PAGE = 24
"""Cameras or devices on a page. This bounds the page's cost, whatever their total number."""
CACHE_SECONDS = 60.0  # for which a listing is cached
MAX_DEVICES = 10_000
MAX_CAMERAS = 1000  # per device: the result of one request
_CONCURRENT_REQUESTS = 8
_CACHED_LISTINGS = 512
_LATEST_CAMERAS = 8  # to remember per device


class Cameras:
    """The devices and cameras of a bucket. Thread-safe. Methods may raise BucketError."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(_CONCURRENT_REQUESTS, thread_name_prefix="cameras")
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()  # by prefix
        self._heard: OrderedDict[str, OrderedDict[Camera, None]] = OrderedDict()  # latest last

    def devices(self) -> list[str]:
        """Return all devices by name, in one request per 1000. The result is cached."""
        return self._names("faces/", MAX_DEVICES)

    def of(self, device: str) -> list[Camera]:
        """Return a device's cameras by name, in one request. The result is cached."""
        return [Camera(device, name) for name in self._names(f"faces/{device}/", MAX_CAMERAS)]

    def of_each(self, devices: Iterable[str]) -> list[list[Camera]]:
        """Return the cameras of several devices, with concurrent requests."""
        return list(self._pool.map(self.of, devices))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def hear(self, camera: Camera) -> None:
        """Record that a face of this camera has been stored."""
        with self._lock:
            for prefix, name in (
                ("faces/", camera.device),
                (f"faces/{camera.device}/", camera.name),
            ):
                kept = self._kept.get(prefix)
                if kept and name not in kept[1]:
                    del self._kept[prefix]
            of_device = self._heard.setdefault(camera.device, OrderedDict())
            for latest, key in ((of_device, camera), (self._heard, camera.device)):
                latest[key] = latest.get(key)
                latest.move_to_end(key)
            _shorten(of_device, _LATEST_CAMERAS)
            _shorten(self._heard, MAX_DEVICES)

    def latest(self) -> list[list[Camera]]:
        """Return the cameras with the latest faces: one list per device, latest first."""
        with self._lock:
            devices = islice(reversed(self._heard.values()), CAMERAS_PER_PAGE)
            return [list(reversed(cameras)) for cameras in devices]

    def _names(self, prefix: str, most: int) -> list[str]:
        with self._lock:
            since, names = self._kept.get(prefix, (0.0, []))
        if since and time.monotonic() - since < CACHE_SECONDS:
            return names
        since = time.monotonic()
        folders = self._bucket.folders(prefix, most)
        names = [name for folder in folders if is_label(name := folder[len(prefix) : -1])]
        with self._lock:
            self._kept[prefix] = since, names
            self._kept.move_to_end(prefix)
            _shorten(self._kept, _CACHED_LISTINGS)
        return names


def in_turn(lists: Iterable[Iterable[Camera]], most: int = CAMERAS_PER_PAGE) -> list[Camera]:
    """Interleave the lists: the first of each, then the second of each, without duplicates."""
    turns = chain.from_iterable(zip_longest(*lists))
    return list(islice(dict.fromkeys(camera for camera in turns if camera), most))


def _shorten(latest: OrderedDict, most: int) -> None:
    while len(latest) > most:
        latest.popitem(last=False)
