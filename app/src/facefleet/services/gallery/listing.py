"""Faces newest first out of a bucket that lists oldest first, in few requests.

A key spells its moment, so a listing can begin at any time (StartAfter): the newest faces are found
by listing windows of time, each before the last. A window grows while it finds little and shrinks
when it holds more than one answer; whole days, months and years without a face are jumped over by
listing with a delimiter. Requests and memory depend on how much is asked for, not on how much there
is.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from itertools import chain, islice
from typing import NamedTuple

from facefleet.names import FaceName, camera_prefix, is_label
from facefleet.services.gallery.bucket import PAGE, Bucket

_LAST = "~"  # sorts after every character of a moment
_WINDOW = timedelta(seconds=20)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_NEVER = datetime.max.replace(tzinfo=UTC)


class Camera(NamedTuple):
    """One camera of one device."""

    device: str
    name: str

    @property
    def prefix(self) -> str:
        return camera_prefix(*self)


def moment(key: str) -> str:
    """The part of a face's key that orders faces of all cameras in time."""
    return key.split("/", 3)[3]


def stamp(time: datetime) -> str:
    """What the moments at and after `time` sort after; years are four digits."""
    return f"{time:%Y/%m/%d/%H%M%S.%f}"


def face_of(key: str) -> FaceName | None:
    """The face that `key` names, or None where it names none or is not how that name is spelled."""
    face = FaceName.parse(key)
    return face if str(face) == key else None


class Listing:
    """Looks faces up in a bucket, several cameras at a time. May raise BucketError."""

    def __init__(self, bucket: Bucket, requests_at_a_time: int = 16) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(requests_at_a_time, thread_name_prefix="listing")

    def cameras(self) -> list[Camera]:
        """Every camera with faces, by name: one request, and one a device."""
        devices = self._bucket.folders("faces/")
        cameras = chain.from_iterable(self._pool.map(self._bucket.folders, devices))
        split = (tuple(prefix.split("/")[1:3]) for prefix in cameras)
        return [Camera(*names) for names in split if all(map(is_label, names))]

    def latest(
        self, cameras: Iterable[Camera], count: int, before: str | None = None
    ) -> list[list[str]]:
        """Each camera's newest `count` keys older than the key `before`, newest first."""
        return list(
            self._pool.map(lambda camera: list(islice(self._back(camera, before), count)), cameras)
        )

    def after(self, marks: Sequence[str]) -> list[tuple[list[str], bool]]:
        """The faces after each mark (a key, or how one begins), oldest first: one request each.

        The flag says that more follow.
        """

        def one(mark: str) -> tuple[list[str], bool]:
            prefix = "/".join(mark.split("/")[:3]) + "/"
            page = self._bucket.page(prefix, after=mark)
            return [key for key in page.keys if face_of(key)], page.truncated

        return list(self._pool.map(one, marks))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _back(self, camera: Camera, before: str | None) -> Iterator[str]:
        """The camera's keys, newest first, found as they are asked for."""
        prefix = camera.prefix
        ceiling = prefix + (moment(before) if before else _LAST)
        top = face_of(before).captured if before else _NEVER

        # Mostly the camera is running: look at the last moments before asking which days there are.
        recent = min(top, datetime.now(UTC)) - _WINDOW
        keys = self._window(prefix, recent, ceiling)
        if keys is not None:
            yield from _newest_first(keys)
            top, ceiling = recent, prefix + stamp(recent)

        width = _DAY if keys == [] else _WINDOW
        for day in self._days(prefix, ceiling):
            top = min(top, day + _DAY - _TICK)
            ceiling = min(ceiling, f"{prefix}{day:%Y/%m/%d}/{_LAST}")
            while top > day:
                width = max(_TICK, min(width, top - day))
                start = top - width
                keys = self._window(prefix, start, ceiling, all_of_it=width > _TICK)
                if keys is None:
                    width /= 8
                    continue
                yield from _newest_first(keys)
                top, ceiling = start, prefix + stamp(start)
                width = min(_DAY, width * min(4, PAGE / 2 / (len(keys) + 1)))

    def _window(
        self, prefix: str, start: datetime, ceiling: str, all_of_it: bool = True
    ) -> list[str] | None:
        """The keys from `start` up to `ceiling`, or None where one answer does not hold them all.

        More than one answer within a microsecond is nobody's camera: its first keys must do.
        """
        page = self._bucket.page(prefix, after=prefix + stamp(start))
        keys = [key for key in page.keys if key < ceiling]
        if all_of_it and page.truncated and len(keys) == len(page.keys):
            return None
        return keys

    def _days(self, prefix: str, ceiling: str) -> Iterator[datetime]:
        """The days with faces before `ceiling`, newest first."""
        for year in self._folders_back(prefix, ceiling):
            for month in self._folders_back(year, ceiling):
                for day in self._folders_back(month, ceiling):
                    try:
                        yield datetime.strptime(day.removeprefix(prefix), "%Y/%m/%d/").replace(
                            tzinfo=UTC
                        )
                    except ValueError:  # not a day: put there by hand
                        continue

    def _folders_back(self, prefix: str, ceiling: str) -> list[str]:
        return [name for name in reversed(self._bucket.folders(prefix)) if name < ceiling]


def _newest_first(keys: Sequence[str]) -> Iterator[str]:
    return (key for key in reversed(keys) if face_of(key))


def merge(latest: Iterable[list[str]], count: int) -> list[str]:
    """The newest `count` keys of all cameras, newest first."""
    return nlargest(count, chain.from_iterable(latest), key=moment)
