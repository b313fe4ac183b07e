"""A camera's faces, newest first, out of a bucket that lists oldest first, in few requests.

A key spells its moment, so a listing can begin at any time (StartAfter): the newest faces are found
by listing windows of time, each before the last. A window grows while it finds little and shrinks
when it holds more than one answer; whole days, months and years without a face are jumped over by
listing with a delimiter. Requests and memory depend on how much is asked for, not on how much there
is.

The moment is what a device's clock said. One that is ahead decides nothing for others: what claims
to come from the future is no part of the newest, and is listed apart (`ahead`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from itertools import chain
from typing import NamedTuple

from facefleet.bucket import Bucket, Entry
from facefleet.names import FaceName, camera_prefix, day_folder, day_of_folder, moment

PAGE = 250
"""Keys in one answer: a few screens of faces. An answer takes as long as it has keys."""
FACES = 60
"""Faces on a page, and of a camera that are looked for at a time."""
REQUESTS = 30
"""To the bucket, for one look at one camera: what is rarer is found from page to page."""
MOST_REQUESTS = 100
"""While nothing is found."""
SKEW = timedelta(minutes=2)
"""A clock may be as much ahead and still be taken for right."""
OFF = timedelta(days=1)
"""Between the time that a face claims and its storing, from where on it is marked."""
_WINDOW = timedelta(seconds=20)
_LATELY = timedelta(minutes=15)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_MOST_FOLDERS = 10_000  # years with four digits


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
        """The part of the key that orders faces of all cameras in time."""
        return self.key.split("/", 3)[3]

    @property
    def ahead(self) -> timedelta:
        """How much the time it claims is after its storing; negative where it is before."""
        return self.name.captured - self.stored

    @property
    def is_off(self) -> bool:
        """Whether the camera's clock was wrong, or the face on its way for a day or more."""
        return abs(self.ahead) >= OFF


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a camera has found."""

    camera: Camera
    faces: list[Face]
    """Newest first, none from the future."""
    is_whole: bool
    """Whether there are no older ones."""
    future: list[Face] = field(default_factory=list)
    """Some faces that claim a time which has not come yet."""

    @property
    def off(self) -> Face | None:
        """The face that shows best that the camera's clock was wrong."""
        off = [face for face in (*self.future, *self.faces) if face.is_off]
        return max(off, key=lambda face: abs(face.ahead), default=None) or next(
            iter(self.future), None
        )


def face_of(key: str) -> FaceName | None:
    """The face that `key` names, or None where it names none or is not how that name is spelled."""
    face = FaceName.parse(key)
    return face if str(face) == key else None


def is_future(face: Face) -> bool:
    return face.name.captured > datetime.now(UTC) + SKEW


def merge(looks: Iterable[Look]) -> tuple[list[Face], bool]:
    """The newest faces of all cameras, newest first, and whether there are older ones.

    None is older than what a camera was looked through for: the next page has it in its place.
    """
    looks = list(looks)
    partial = [look.faces[-1].moment for look in looks if look.faces and not look.is_whole]
    horizon = max(partial, default="")
    faces = nlargest(FACES, chain(*(look.faces for look in looks)), key=lambda face: face.moment)
    shown = [face for face in faces if face.moment >= horizon]
    return shown, bool(partial) or len(shown) < sum(len(look.faces) for look in looks)


class Listing:
    """Looks a camera's faces up in a bucket. May raise BucketError."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def newest(self, camera: Camera, before: str | None = None) -> Look:
        """The newest faces, or the newest of those older than the moment of the key `before`."""
        return _Walk(self._bucket, camera, before).look()

    def apart(self, camera: Camera, after: str | None = None) -> Iterator[Face]:
        """Faces whose time cannot be right, oldest claim first: those from the future.

        Before them, on the first page, those that claim a time long before they were stored.
        """
        future = camera.prefix + moment(datetime.now(UTC) + SKEW)
        if after is None:
            yield from (face for face in self._page(camera, "") if face.ahead <= -OFF)
        yield from self._page(camera, max(after or "", future))

    def _page(self, camera: Camera, after: str) -> list[Face]:
        entries = self._bucket.page(camera.prefix, after, limit=FACES).entries
        return [face for face in map(Face.of, entries) if face]


class _EnoughError(Exception):
    """The walk has made as many requests as it may."""


class _Walk:
    """One look at one camera, from the newest face to older ones."""

    def __init__(self, bucket: Bucket, camera: Camera, before: str | None) -> None:
        self._bucket = bucket
        self._camera = camera
        self._requests = REQUESTS
        self._found = 0
        self._last = datetime.min.replace(tzinfo=UTC)  # in the answer that did not hold them all
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
                if self._found > FACES:
                    break
            whole = self._found <= FACES
        except _EnoughError:
            whole = False
        return Look(self._camera, faces[:FACES], whole, self._future)

    def _back(self) -> Iterator[Face]:
        """The camera's faces, newest first, found as they are asked for."""
        prefix, top, ceiling = self._camera.prefix, self._top, self._ceiling

        # Mostly the camera is running, or was not long ago: look there before asking for its days.
        start = min(top, self._now)
        for reach, width_then in ((_WINDOW, _WINDOW), (_LATELY, _DAY)):
            start -= reach
            entries = self._window(start, ceiling)
            if entries is None:  # more than one answer: what is beyond was not seen
                width = reach / 8
                if top > self._now:
                    self._look_beyond()
                break
            yield from _newest_first(entries)
            top, ceiling, width = start, prefix + moment(start), width_then
            if entries:
                break

        for day in self._days(ceiling):
            end = prefix + day_folder(day) + "~"  # sorts after the day's moments
            ceiling = min(ceiling, end)
            top = min(top, day.replace(hour=23, minute=59, second=59, microsecond=999_999))
            low = day  # between it and the top are more than one answer, once it is later than that
            while top > day:
                low = low if low < top else day
                start = top - max(_TICK, min(width, top - low))
                entries = self._window(start, ceiling, all_of_it=top - start > _TICK)
                if entries is None:
                    # Few may be left after those that came; or else nearer to the top.
                    width = top - self._last if low == day else (top - start) / 8
                    low = max(low, self._last)
                    continue
                yield from _newest_first(entries)
                if entries or low == day:
                    width = (top - start) * (PAGE / 2 / (len(entries) + 1))
                else:
                    width = (start - low) / 2
                top, ceiling = start, prefix + moment(start)
                width = min(_DAY, width)

    def _look_beyond(self) -> None:
        """See whether faces claim to come from the future."""
        self._count()
        prefix = self._camera.prefix
        page = self._bucket.page(prefix, after=prefix + moment(self._top), limit=1)
        self._future = [face for face in map(Face.of, page.entries) if face]

    def _window(self, start: datetime, ceiling: str, all_of_it: bool = True) -> list[Entry] | None:
        """The entries from `start` up to `ceiling`, or None where one answer does not hold them.

        More than one answer within a microsecond, or without a face, is nobody's camera: its first
        entries must do.
        """
        self._count()
        prefix = self._camera.prefix
        page = self._bucket.page(prefix, after=prefix + moment(start), limit=PAGE)
        entries = [entry for entry in page.entries if entry.key < ceiling]
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
        """The days with faces before `ceiling`, newest first."""
        prefix = self._camera.prefix
        for year in self._folders_back(prefix, ceiling):
            for month in self._folders_back(year, ceiling):
                for day in self._folders_back(month, ceiling):
                    # What is not a day was put there by hand.
                    if start := day_of_folder(day.removeprefix(prefix)):
                        yield start

    def _folders_back(self, prefix: str, ceiling: str) -> list[str]:
        self._count()
        names = self._bucket.folders(prefix, _MOST_FOLDERS)
        return [name for name in reversed(names) if name < ceiling]

    def _count(self) -> None:
        if self._requests <= (0 if self._found else REQUESTS - MOST_REQUESTS):
            raise _EnoughError
        self._requests -= 1


def _newest_first(entries: Sequence[Entry]) -> Iterator[Face]:
    return (face for face in map(Face.of, reversed(entries)) if face)
