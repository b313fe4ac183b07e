"""Erase a device's or a day's faces from the bucket: every version of every object, for good.

What is deleted is not listed again, so that a run that was interrupted is gone on with by the next.
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
from facefleet.bucket import Version, VersionedBucket
from facefleet.errors import FacefleetError
from facefleet.names import FaceName, day_folder
from facefleet.settings import EraseSettings
from facefleet.tools.erasures import Faces, Scope
from facefleet.tools.tables import table

BATCH = 1000  # versions in one request, as S3 has it
LOOKS = 16  # objects in quarantine that are asked at a time what they are

RIGHTS = (
    "s3:ListBucket, s3:ListBucketVersions, s3:GetObjectVersion, s3:PutObject, s3:DeleteObject and "
    "s3:DeleteObjectVersion"
)

NOTE = """\
What a device still holds comes after this: faces that wait in its outbox, and dead letters.
Wait until `facefleet status` shows none pending, see to `facefleet outbox list`, and run this
again."""


@dataclass
class Found:
    """What there is of one kind."""

    objects: int = 0
    versions: int = 0  # beside the objects: former ones, and delete markers
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
    """Print what there is of the scope; `really`: and delete it. Raises FacefleetError."""
    client = aws.s3_client()
    bucket = VersionedBucket(client, settings.bucket, right=RIGHTS)
    with bucket.explain_errors():
        _Eraser(client, bucket, scope).run(really)


class _Eraser:
    def __init__(self, client: Any, bucket: VersionedBucket, scope: Scope) -> None:
        self._client, self._bucket, self._scope = client, bucket, scope
        self._nobodys = 0  # objects in quarantine that name no device

    def run(self, really: bool) -> None:
        names = Faces()
        faces = self._faces(names)
        quarantine, set_aside = self._quarantine()
        print(f"{self._bucket.name}: {self._scope}")
        print(_table(faces=faces, quarantine=quarantine))
        if self._nobodys:
            print(f"{self._nobodys:,} in quarantine/unknown/ name no device: they are left.")
        total = sum(found.objects + found.versions for found in (faces, quarantine))
        if not total:
            self._explain()
        elif not really:
            print("Nothing was deleted: --yes deletes it.")
        else:
            self._delete_all(names, set_aside, total)
        print(NOTE)

    # -- what there is -------------------------------------------------------------------------

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
        """Where the scope's faces lie; a day's lie in a folder of each camera."""
        device, day = self._scope.device, self._scope.day
        devices = [f"faces/{device}/"] if device else self._bucket.folders("faces/")
        for prefix in devices:
            if day is None:
                yield prefix
            else:
                yield from (f"{camera}{day_folder(day)}" for camera in self._bucket.folders(prefix))

    def _quarantine(self) -> tuple[Found, list[Version]]:
        """What the processor has put there of the scope: its key and its metadata say so."""
        device = self._scope.device
        prefixes = [f"quarantine/{device}/", "quarantine/unknown/"] if device else ["quarantine/"]
        versions = [one for prefix in dict.fromkeys(prefixes) for one in self._versions(prefix)]
        pictures = [version for version in versions if not version.marker]
        with ThreadPoolExecutor(LOOKS) as pool:
            belongs = list(pool.map(self._belongs, pictures))
        keys = {one.key for one, does in zip(pictures, belongs, strict=True) if does}
        chosen, found = [version for version in versions if version.key in keys], Found()
        for version in chosen:
            found.add(version)
        return found, chosen

    def _belongs(self, version: Version) -> bool:
        place = version.key.split(
            "/"
        )  # quarantine/<device>/<camera>/..., or quarantine/unknown/...
        if len(place) < 3:
            return False  # the processor's own
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
            self._nobodys += 1
        # Nothing says when it was captured: it came then.
        when = version.modified.astimezone(UTC).date()
        return self._scope.device in (None, device) and self._scope.day in (None, when)

    def _versions(self, prefix: str) -> Iterator[Version]:
        """All under a prefix, by key."""
        for page in self._bucket.versions(prefix):
            yield from sorted(page)

    # -- what is done --------------------------------------------------------------------------

    def _delete_all(self, names: Faces, set_aside: list[Version], total: int) -> None:
        record = self._record(names)
        done = 0
        for batch in self._batches(set_aside):
            late = {name for name in _names(batch) if name not in names}
            if late:  # they came meanwhile
                self._record(Faces(late))
                for name in late:
                    names.add(name)
            self._delete(batch)
            done += len(batch)
            if sys.stderr.isatty():
                print(f"\rdeleted {done:,} of {total:,}", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        print(f"Deleted for good: {done:,} (recorded as {record}).")
        if left := self._faces().objects + self._quarantine()[0].objects:
            raise FacefleetError(f"{left:,} objects came meanwhile: run this again")

    def _record(self, names: Faces) -> str:
        """Write what is about to be deleted, so that an interrupted run has a record, too."""
        record = self._scope.record(datetime.now(UTC))
        self._client.put_object(Bucket=self._bucket.name, Key=record, Body=names.body())
        return record

    def _batches(self, set_aside: list[Version]) -> Iterator[list[Version]]:
        for start in range(0, len(set_aside), BATCH):
            yield set_aside[start : start + BATCH]
        for prefix in self._prefixes():
            # Always the first page: the one before has been deleted.
            while batch := next(self._bucket.versions(prefix), None):
                yield batch

    def _delete(self, batch: list[Version]) -> None:
        answer = self._client.delete_objects(
            Bucket=self._bucket.name,
            Delete={
                "Objects": [_spell(one) for one in batch],
                "Quiet": True,
            },
        )
        if errors := answer.get("Errors"):
            first = errors[0]
            raise FacefleetError(
                f"{len(errors):,} could not be deleted, {first['Key']} first "
                f"({first.get('Message') or first['Code']}): see that these credentials may "
                "s3:DeleteObject and s3:DeleteObjectVersion, and run this again"
            )

    def _explain(self) -> None:
        """Raises FacefleetError where the device is one of which the bucket has nothing at all."""
        device = self._scope.device
        folders = [*self._bucket.folders("faces/"), *self._bucket.folders("quarantine/")]
        known = sorted({folder.split("/")[1] for folder in folders} - {"unknown"})
        if device and device not in known:
            raise FacefleetError(
                f"{self._bucket.name} has nothing of a device {device}: "
                f"it has {', '.join(known) or 'none at all'}"
            )
        print("There is nothing to delete.")


def _names(versions: list[Version]) -> Iterator[FaceName]:
    """The faces that are among them; quarantine has none by that name."""
    found = (FaceName.parse(version.key) for version in versions)
    return (name for name in found if name is not None)


def _spell(version: Version) -> dict[str, str]:
    """As S3's requests name it."""
    named = {"Key": version.key}
    return {**named, "VersionId": version.id} if version.id else named


def _table(**kinds: Found) -> str:
    head = ("", "objects", "former versions", "bytes", "first", "last")
    rows = [
        (kind, found.objects, found.versions, found.size, found.first, found.last)
        for kind, found in kinds.items()
    ]
    return table([head, *rows])
