"""List a camera's faces hour by hour, leaving out hours that need not be listed."""

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import groupby, islice, takewhile

from facefleet.auditing.hours import Listed
from facefleet.bucket import Bucket, Entry
from facefleet.protocol import FaceName

LENGTH = len("2026/02/28/23")  # of an hour in a key, after the prefix of its camera
AFTER = "~"  # sorts after every time in a key
MAX_LISTED = 200_000  # faces of one camera in one hour that are held in memory: 55 a second

Faces = dict[str | None, list[Listed]]
"""The faces of an hour by epoch. Under None, keys that are not a face's (in place of the tag)."""


def spans(hours: Sequence[str], skipped: Set[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the parts of the keys to list, each as what it sorts after and before.

    `hours`: all hours with claims, ascending. What lies between two skipped hours is left out, too.
    """
    after, run = "", None
    for hour in hours:
        if hour in skipped:
            run = run or hour
            last = hour
        elif run:
            yield after, run
            after, run = last + AFTER, None
    if run:
        yield after, run
        after = last + AFTER
    yield after, None


def by_hour(
    bucket: Bucket, prefix: str, hours: Sequence[str], skipped: Set[str]
) -> Iterator[tuple[str, Faces]]:
    """Yield each listed hour with its faces, ascending; see `spans`.

    Of an hour with too many faces, only the first MAX_LISTED are there.
    """
    for after, before in spans(hours, skipped):
        entries = _between(bucket, prefix, after, before)
        for hour, group in groupby(entries, lambda entry: entry.key[len(prefix) :][:LENGTH]):
            yield hour, _collect(islice(group, MAX_LISTED))  # groupby skips the rest


def of_hour(bucket: Bucket, prefix: str, hour: str) -> Faces:
    """Return the faces of an hour."""
    return _collect(islice(bucket.entries(prefix + hour), MAX_LISTED))


def _collect(entries: Iterable[Entry]) -> Faces:
    faces: Faces = {}
    for entry in entries:
        if name := FaceName.parse(entry.key):
            face = Listed(name.seq, name.tag, entry.stored)
            faces.setdefault(name.epoch, []).append(face)
        else:
            faces.setdefault(None, []).append(Listed(0, entry.key, entry.stored))
    return faces


def _between(bucket: Bucket, prefix: str, after: str, before: str | None) -> Iterator[Entry]:
    entries = bucket.entries(prefix, prefix + after if after else "")
    if before is None:
        return entries
    return takewhile(lambda entry: entry.key < prefix + before, entries)
