"""Erase a device's or a day's faces from the bucket: every version of every object, permanently.

If a run is interrupted, the next run continues, since deleted objects are no longer listed.
"""

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from facefleet import aws
from facefleet.auditing.erasure_records import Faces, Scope
from facefleet.bucket import Version, VersionedBucket
from facefleet.errors import FacefleetError
from facefleet.protocol import FaceName, day_folder
from facefleet.settings import EraseSettings
from facefleet.tools.tables import table

BATCH = 1000  # versions per request, the maximum of S3
WORKERS = 16  # concurrent requests for the metadata of objects in quarantine

RIGHTS = (
    "s3:ListBucket, s3:ListBucketVersions, s3:GetObjectVersion, s3:PutObject, s3:DeleteObject and "
    "s3:DeleteObjectVersion"
)

NOTE = """\
Devices may still hold faces that they deliver later: pending faces and dead letters. Wait until
`facefleet status` shows none pending, handle the dead letters (`facefleet outbox list`), and run
this command again."""


@dataclass
class Found:
    """Totals of one kind of objects."""

    objects: int = 0
    versions: int = 0  # former versions and delete markers, not counted as objects
    size: int = 0  # bytes
    first: str | None = None
    last: str | None = None

    def add(self, version: Version) -> None:
        if version.key == self.last:
            self.versions += 1
        else:
            self.objects += 1
        self.size += version.size
        self.first = self.first or version.key
        self.last = version.key


def erase(settings: EraseSettings, scope: Scope, *, really: bool) -> None:
    """Print which objects are in the scope, and delete them if `really`. Raises FacefleetError."""
    client = aws.s3_client()
    bucket = VersionedBucket(client, settings.bucket, right=RIGHTS)
    with bucket.explain_errors():
        _Eraser(client, bucket, scope).run(really)


class _Eraser:
    def __init__(self, client: Any, bucket: VersionedBucket, scope: Scope) -> None:
        self._client, self._bucket, self._scope = client, bucket, scope
        self._unattributed = 0  # objects in quarantine that do not name a device

    def run(self, really: bool) -> None:
        names = Faces()
        faces = self._faces(names)
        quarantine, quarantined = self._quarantine()
        print(f"{self._bucket.name}: {self._scope}")
        print(_table(faces=faces, quarantine=quarantine))
        if self._unattributed:
            print(f"Kept {self._unattributed:,} in quarantine/unknown/ that name no device.")
        total = sum(found.objects + found.versions for found in (faces, quarantine))
        if not total:
            self._explain()
        elif not really:
            print("Nothing was deleted. Pass --yes to delete.")
        else:
            self._delete_all(names, quarantined, total)
        print(NOTE)

    # -- finding objects -----------------------------------------------------------------------

    def _faces(self, names: Faces | None = None) -> Found:
        """Count the scope's faces, and add their names to `names`."""
        found = Found()
        for prefix in self._prefixes():
            for version in self._versions(prefix):
                found.add(version)
                if names is not None and (name := FaceName.parse(version.key)):
                    names.add(name)
        return found

    def _prefixes(self) -> Iterator[str]:
        """Yield the prefixes of the scope's faces. A day has one prefix per camera."""
        device, day = self._scope.device, self._scope.day
        devices = [f"faces/{device}/"] if device else self._bucket.folders("faces/")
        for prefix in devices:
            if day is None:
                yield prefix
            else:
                yield from (f"{camera}{day_folder(day)}" for camera in self._bucket.folders(prefix))

    def _quarantine(self) -> tuple[Found, list[Version]]:
        """Return the scope's objects in quarantine, identified by their keys and metadata."""
        device = self._scope.device
        prefixes = [f"quarantine/{device}/", "quarantine/unknown/"] if device else ["quarantine/"]
        versions = [
            version for prefix in dict.fromkeys(prefixes) for version in self._versions(prefix)
        ]
        objects = [version for version in versions if not version.marker]
        with ThreadPoolExecutor(WORKERS) as pool:
            belongs = list(pool.map(self._belongs, objects))
        keys = {version.key for version, does in zip(objects, belongs, strict=True) if does}
        chosen, found = [version for version in versions if version.key in keys], Found()
        for version in chosen:
            found.add(version)
        return found, chosen

    def _belongs(self, version: Version) -> bool:
        # quarantine/<device>/<camera>/..., or quarantine/unknown/...
        place = version.key.split("/")
        if len(place) < 3:
            return False  # the store's probe object
        try:
            answer = self._client.head_object(Bucket=self._bucket.name, **_spell(version))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NoSuchVersion"):
                return False  # it has just expired
            raise
        topic = unquote(answer["Metadata"].get("topic", ""))
        if name := FaceName.of_topic(topic):
            return self._scope.covers(name)
        named = re.match(r"faces/([^/]+)/", topic)
        device = place[1] if len(place) > 3 else named and named[1]
        if self._scope.device and device is None:
            self._unattributed += 1
        # The capture time is unknown: use the time of storing.
        when = version.modified.astimezone(UTC).date()
        return self._scope.device in (None, device) and self._scope.day in (None, when)

    def _versions(self, prefix: str) -> Iterator[Version]:
        """Yield all versions under a prefix, by key."""
        for page in self._bucket.versions(prefix):
            yield from sorted(page)

    # -- deleting ------------------------------------------------------------------------------

    def _delete_all(self, names: Faces, quarantined: list[Version], total: int) -> None:
        record = self._record(names)
        done = 0
        for batch in self._batches(quarantined):
            late = {name for name in _names(batch) if name not in names}
            if late:  # stored since they were counted
                self._record(Faces(late))
                for name in late:
                    names.add(name)
            self._delete(batch)
            done += len(batch)
            if sys.stderr.isatty():
                print(f"\rdeleted {done:,} of {total:,}", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        print(f"Deleted permanently: {done:,} (recorded as {record}).")
        if left := self._faces().objects + self._quarantine()[0].objects:
            raise FacefleetError(f"new objects have been stored ({left:,}): run this again")

    def _record(self, names: Faces) -> str:
        """Record the faces before deleting them, so that an interrupted run has a record, too."""
        record = self._scope.record(datetime.now(UTC))
        self._client.put_object(Bucket=self._bucket.name, Key=record, Body=names.body())
        return record

    def _batches(self, quarantined: list[Version]) -> Iterator[list[Version]]:
        for start in range(0, len(quarantined), BATCH):
            yield quarantined[start : start + BATCH]
        for prefix in self._prefixes():
            # Always list the first page, as the previous one has been deleted.
            while batch := next(self._bucket.versions(prefix), None):
                yield batch

    def _delete(self, batch: list[Version]) -> None:
        answer = self._client.delete_objects(
            Bucket=self._bucket.name,
            Delete={
                "Objects": [_spell(version) for version in batch],
                "Quiet": True,
            },
        )
        if errors := answer.get("Errors"):
            first = errors[0]
            raise FacefleetError(
                f"cannot delete objects in bucket {self._bucket.name} ({len(errors):,} failed, "
                f"such as {first['Key']}: {first.get('Message') or first['Code']}): allow "
                "s3:DeleteObject and s3:DeleteObjectVersion for these credentials, and run this "
                "again"
            )

    def _explain(self) -> None:
        """Report that nothing was found. Raises FacefleetError if the device is unknown."""
        device = self._scope.device
        folders = [*self._bucket.folders("faces/"), *self._bucket.folders("quarantine/")]
        known = sorted({folder.split("/")[1] for folder in folders} - {"unknown"})
        if device and device not in known:
            raise FacefleetError(
                f"bucket {self._bucket.name} has nothing from device {device}: use one of its "
                f"devices ({', '.join(known) or 'there are none'})"
            )
        print("There is nothing to delete.")


def _names(versions: list[Version]) -> Iterator[FaceName]:
    """Yield the names of the versions that are faces; objects in quarantine are not."""
    found = (FaceName.parse(version.key) for version in versions)
    return (name for name in found if name is not None)


def _spell(version: Version) -> dict[str, str]:
    """Return the parameters that name a version in S3's requests."""
    named = {"Key": version.key}
    return {**named, "VersionId": version.id} if version.id else named


def _table(**kinds: Found) -> str:
    head = ("", "objects", "former versions", "bytes", "first", "last")
    rows = [
        (kind, found.objects, found.versions, found.size, found.first, found.last)
        for kind, found in kinds.items()
    ]
    return table([head, *rows])
