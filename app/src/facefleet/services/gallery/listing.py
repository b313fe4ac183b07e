"""List a camera's faces newest first, in few requests, though a bucket lists oldest first.

A key contains its capture time, so a listing can begin at any time (StartAfter). The newest faces
are found by listing windows of time, going backwards. A window grows while it contains few faces,
and shrinks if it contains more than one response can hold. Days, months and years without faces are
skipped by listing with a delimiter. Requests and memory depend on the number of requested faces,
not on the number of existing ones.

The capture time is from a device's clock. A clock that is ahead must not affect other cameras, so
faces from the future are not among the newest, but are listed separately (`apart`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from itertools import chain
from typing import NamedTuple

from facefleet.bucket import Bucket, Entry
from facefleet.protocol import FaceName, camera_prefix, day_folder, day_of_folder, moment

KEYS_PER_PAGE = 250
"""Keys per response: a few screens of faces. The response time is proportional to it."""
FACES_PER_PAGE = 60
"""Faces on a page, and maximum number of faces to find per camera at a time."""
REQUESTS_PER_CAMERA = 30
"""Maximum requests to find faces of one camera. Sparser faces are found page by page."""
MAX_REQUESTS = 100
"""The same while no face has been found."""
SKEW = timedelta(minutes=2)
"""A clock that is ahead by up to this time counts as correct."""
CLOCK_ERROR = timedelta(days=1)
"""Difference between capture and storing from which a face is marked."""
_WINDOW = timedelta(seconds=20)
_LATELY = timedelta(minutes=15)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_MAX_FOLDERS = 10_000  # as years have four digits


class Camera(NamedTuple):
    """One camera of one device."""

    device: str
    name: str

    @property
    def prefix(self) -> str:
        return camera_prefix(*self)

    def __str__(self) -> str:
        return f"{self.device}/{self.name}"


@dataclass(frozen=True, slots=True)
class Face:
    """A face in the bucket, and when it was stored, by S3's clock."""

    name: FaceName
    stored: datetime

    @classmethod
    def of(cls, entry: Entry) -> "Face | None":
        name = face_of(entry.key)
        return None if name is None else cls(name, entry.stored)

    @property
    def camera(self) -> Camera:
        return Camera(self.name.device, self.name.camera)

    @property
    def key(self) -> str:
        return str(self.name)

    @property
    def moment(self) -> str:
        """The part of the key that sorts faces of all cameras by time."""
        return self.key.split("/", 3)[3]

    @property
    def ahead(self) -> timedelta:
        """How far the capture time is after the time of storing; negative if before it."""
        return self.name.captured - self.stored

    @property
    def is_off(self) -> bool:
        """Whether the clock was wrong or the delivery took long, by a day or more."""
        return abs(self.ahead) >= CLOCK_ERROR


@dataclass(frozen=True, slots=True)
class Look:
    """The faces that were found for a camera."""

    camera: Camera
    faces: list[Face]
    """Newest first, without those from the future."""
    is_whole: bool
    """Whether there are no older faces."""
    future: list[Face] = field(default_factory=list)
    """Some faces whose capture time is in the future."""

    @property
    def off(self) -> Face | None:
        """The face with the largest difference between capture and storing, if it is marked."""
        off = [face for face in (*self.future, *self.faces) if face.is_off]
        return max(off, key=lambda face: abs(face.ahead), default=None) or next(
            iter(self.future), None
        )


def face_of(key: str) -> FaceName | None:
    """Return the face that `key` names, or None if it is not the canonical key of a face."""
    face = FaceName.parse(key)
    return face if str(face) == key else None


def is_future(face: Face) -> bool:
    return face.name.captured > datetime.now(UTC) + SKEW


def merge(looks: Iterable[Look]) -> tuple[list[Face], bool]:
    """Return the newest faces of all cameras, newest first, and whether there are older ones.

    Faces older than the incomplete result of any camera are left for the next page, which has them
    in the correct order.
    """
    looks = list(looks)
    partial = [look.faces[-1].moment for look in looks if look.faces and not look.is_whole]
    horizon = max(partial, default="")
    faces = nlargest(
        FACES_PER_PAGE, chain(*(look.faces for look in looks)), key=lambda face: face.moment
    )
    shown = [face for face in faces if face.moment >= horizon]
    return shown, bool(partial) or len(shown) < sum(len(look.faces) for look in looks)


class Listing:
    """Finds a camera's faces in a bucket. Methods may raise BucketError."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def newest(self, camera: Camera, before: str | None = None) -> Look:
        """Return the newest faces, or the newest of those before the key `before`."""
        return _Walk(self._bucket, camera, before).look()

    def apart(self, camera: Camera, after: str | None = None) -> Iterator[Face]:
        """Yield faces whose capture time cannot be correct, in ascending order of that time.

        These are faces from the future. The first page begins with those that were captured long
        before they were stored.
        """
        future = camera.prefix + moment(datetime.now(UTC) + SKEW)
        if after is None:
            yield from (face for face in self._page(camera, "") if face.ahead <= -CLOCK_ERROR)
        yield from self._page(camera, max(after or "", future))

    def _page(self, camera: Camera, after: str) -> list[Face]:
        entries = self._bucket.page(camera.prefix, after, limit=FACES_PER_PAGE).entries
        return [face for face in map(Face.of, entries) if face]


class _EnoughError(Exception):
    """The walk has reached its maximum number of requests."""


class _Walk:
    """One search for faces of a camera, from the newest to older ones."""

    def __init__(self, bucket: Bucket, camera: Camera, before: str | None) -> None:
        self._bucket = bucket
        self._camera = camera
        self._requests = REQUESTS_PER_CAMERA
        self._found = 0
        self._last = datetime.min.replace(tzinfo=UTC)  # latest face in a truncated response
        self._future: list[Face] = []
        self._now = datetime.now(UTC)
        top = self._now + SKEW
        if before is not None and face_of(before).captured < top:
            self._top = face_of(before).captured
            self._ceiling = camera.prefix + before.split("/", 3)[3]
        else:
            self._top, self._ceiling = top, camera.prefix + moment(top)

    def look(self) -> Look:
        faces: list[Face] = []
        try:
            for face in self._back():
                faces.append(face)
                self._found += 1
                if self._found > FACES_PER_PAGE:
                    break
            whole = self._found <= FACES_PER_PAGE
        except _EnoughError:
            whole = False
        return Look(self._camera, faces[:FACES_PER_PAGE], whole, self._future)

    def _back(self) -> Iterator[Face]:
        """Yield the camera's faces, newest first, requesting them on demand."""
        prefix, top, ceiling = self._camera.prefix, self._top, self._ceiling

        # Most cameras have recent faces: look for these before listing the camera's days.
        start = min(top, self._now)
        for reach, width_then in ((_WINDOW, _WINDOW), (_LATELY, _DAY)):
            start -= reach
            entries = self._window(start, ceiling)
            if entries is None:  # the response was truncated, so later faces were not seen
                width = reach / 8
                if top > self._now:
                    self._find_future()
                break
            yield from _newest_first(entries)
            top, ceiling, width = start, prefix + moment(start), width_then
            if entries:
                break

        for day in self._days(ceiling):
            end = prefix + day_folder(day) + "~"  # sorts after all faces of the day
            ceiling = min(ceiling, end)
            top = min(top, day.replace(hour=23, minute=59, second=59, microsecond=999_999))
            low = day  # if later: a response from here to the top was truncated
            while top > day:
                low = low if low < top else day
                start = top - max(_TICK, min(width, top - low))
                entries = self._window(start, ceiling, all_of_it=top - start > _TICK)
                if entries is None:
                    # Only few faces may be left after those returned. If not, go closer to the top.
                    width = top - self._last if low == day else (top - start) / 8
                    low = max(low, self._last)
                    continue
                yield from _newest_first(entries)
                if entries or low == day:
                    width = (top - start) * (KEYS_PER_PAGE / 2 / (len(entries) + 1))
                else:
                    width = (start - low) / 2
                top, ceiling = start, prefix + moment(start)
                width = min(_DAY, width)

    def _find_future(self) -> None:
        """Request a face from the future, if there is one."""
        self._count()
        prefix = self._camera.prefix
        page = self._bucket.page(prefix, after=prefix + moment(self._top), limit=1)
        self._future = [face for face in map(Face.of, page.entries) if face]

    def _window(self, start: datetime, ceiling: str, all_of_it: bool = True) -> list[Entry] | None:
        """Return the entries from `start` up to `ceiling`, or None if the response is truncated.

        No real camera fills a response within a microsecond: then the first entries must do.
        Responses without any face are skipped.
        """
        prefix = self._camera.prefix
        after = prefix + moment(start)
        while True:
            self._count()
            page = self._bucket.page(prefix, after, limit=KEYS_PER_PAGE)
            entries = [entry for entry in page.entries if entry.key < ceiling]
            if not page.truncated or len(entries) < len(page.entries):
                break
            if not entries or any(face_of(entry.key) for entry in entries):
                break
            after = entries[-1].key
        if len(entries) < len(page.entries):
            later = map(Face.of, page.entries[len(entries) :])
            self._future = [face for face in later if face and is_future(face)] or self._future
        elif all_of_it and page.truncated:
            names = (face_of(entry.key) for entry in reversed(entries))
            if last := next(filter(None, names), None):
                self._last = max(start, last.captured)
                return None
        return entries

    def _days(self, ceiling: str) -> Iterator[datetime]:
        """Yield the days with faces before `ceiling`, newest first."""
        prefix = self._camera.prefix
        for year in self._folders_back(prefix, ceiling):
            for month in self._folders_back(year, ceiling):
                for day in self._folders_back(month, ceiling):
                    # Folders that are not days were created by hand.
                    if start := day_of_folder(day.removeprefix(prefix)):
                        yield start

    def _folders_back(self, prefix: str, ceiling: str) -> list[str]:
        self._count()
        names = self._bucket.folders(prefix, _MAX_FOLDERS)
        return [name for name in reversed(names) if name < ceiling]

    def _count(self) -> None:
        if self._requests <= (0 if self._found else REQUESTS_PER_CAMERA - MAX_REQUESTS):
            raise _EnoughError
        self._requests -= 1


def _newest_first(entries: Sequence[Entry]) -> Iterator[Face]:
    return (face for face in map(Face.of, reversed(entries)) if face)
