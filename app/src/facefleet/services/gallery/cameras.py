"""Which devices and cameras there are: asked of the bucket on demand, and heard of.

Nobody's cameras are asked for but those of the devices that are shown, and no device, however many
cameras it makes up, takes the place of another.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, zip_longest
from threading import Lock

from facefleet.bucket import Bucket
from facefleet.names import is_label
from facefleet.services.gallery.listing import Camera

SHOWN = 24
"""Cameras or devices on a page: what it costs is bounded by this, not by how many there are."""
KEPT = 60.0  # seconds that an answer of the bucket is good for
MOST_DEVICES = 10_000
MOST_CAMERAS = 1000  # of a device: what one request tells
_REQUESTS_AT_A_TIME = 8
_REMEMBERED = 512  # devices whose cameras are kept
_HEARD = 8  # cameras of a device, the latest ones


class Cameras:
    """The devices and cameras of a bucket. May raise BucketError; any thread may ask."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(_REQUESTS_AT_A_TIME, thread_name_prefix="cameras")
        self._lock = Lock()
        self._kept: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()  # by prefix
        self._heard: OrderedDict[str, OrderedDict[Camera, None]] = OrderedDict()  # the latest last

    def devices(self) -> list[str]:
        """By name: a request a thousand, once in a while."""
        return self._names("faces/", MOST_DEVICES)

    def of(self, device: str) -> list[Camera]:
        """A device's cameras, by name: one request, once in a while."""
        return [Camera(device, name) for name in self._names(f"faces/{device}/", MOST_CAMERAS)]

    def of_each(self, devices: Iterable[str]) -> list[list[Camera]]:
        """The cameras of several devices, asked for at a time."""
        return list(self._pool.map(self.of, devices))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def hear(self, camera: Camera) -> None:
        """A face of this camera has been stored."""
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
            _shorten(of_device, _HEARD)
            _shorten(self._heard, MOST_DEVICES)

    def latest(self) -> list[list[Camera]]:
        """Those heard last, a list a device, the latest first."""
        with self._lock:
            devices = islice(reversed(self._heard.values()), SHOWN)
            return [list(reversed(cameras)) for cameras in devices]

    def _names(self, prefix: str, most: int) -> list[str]:
        with self._lock:
            since, names = self._kept.get(prefix, (0.0, []))
        if since and time.monotonic() - since < KEPT:
            return names
        since = time.monotonic()
        folders = self._bucket.folders(prefix, most)
        names = [name for folder in folders if is_label(name := folder[len(prefix) : -1])]
        with self._lock:
            self._kept[prefix] = since, names
            self._kept.move_to_end(prefix)
            _shorten(self._kept, _REMEMBERED)
        return names


def in_turn(lists: Iterable[Iterable[Camera]], most: int = SHOWN) -> list[Camera]:
    """The first of each list, then the second of each, and so on, each camera once."""
    turns = chain.from_iterable(zip_longest(*lists))
    return list(islice(dict.fromkeys(camera for camera in turns if camera), most))


def _shorten(latest: OrderedDict, most: int) -> None:
    while len(latest) > most:
        latest.popitem(last=False)
