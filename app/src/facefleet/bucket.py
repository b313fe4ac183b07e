"""Read the keys and objects of a bucket; every failure is reported in one sentence."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from facefleet import aws
from facefleet.errors import FacefleetError, printable

MAX_OBJECT_BYTES = 16 << 20
"""Size up to which an object is read into memory: far above that of any face."""
READ = "s3:ListBucket and s3:GetObject"
_KINDS = (("Versions", False), ("Contents", False), ("DeleteMarkers", True))
_NO_VERSIONS = {"InvalidArgument", "InvalidRequest", "MethodNotAllowed", "NotImplemented"}


class BucketError(FacefleetError):
    """S3 rejects a request, or cannot be reached."""


class Entry(NamedTuple):
    """A key, and when S3 stored its object, by S3's clock."""

    key: str
    stored: datetime


class Version(NamedTuple):
    """A version of an object, or a delete marker."""

    key: str
    id: str  # empty if S3 keeps no versions
    size: int  # bytes
    modified: datetime
    marker: bool  # a delete marker


class Object(NamedTuple):
    content: bytes
    stored: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in ascending order of their keys, and whether more follow."""

    entries: list[Entry]
    truncated: bool


class Bucket:
    """A bucket. Every method sends requests and may raise BucketError.

    `right`: the permissions that the credentials need, for the error message if they lack them.
    `on_answer(problem)` is called after each request, in its thread, with a sentence or None.
    """

    _listing = "list_objects_v2"

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        right: str = READ,
        on_answer: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.asked = 0.0  # monotonic: when the last request succeeded or failed
        self._client = client
        self._right = right
        self._on_answer = on_answer

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """Return the first entries under `prefix` that sort after `after`, in one request."""
        with self.explain_errors():
            answer = self._client.list_objects_v2(
                Bucket=self.name, Prefix=prefix, StartAfter=after, MaxKeys=limit
            )
        return Page(_entries(answer), answer["IsTruncated"])

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Yield the entries under `prefix` that sort after `after`, with a page of 1000 in memory.

        Raises BucketError if the service lists others, or not in ascending order.
        """
        for page in self._pages(Prefix=prefix, StartAfter=after):
            for entry in _entries(page):
                if entry.key <= after or not entry.key.startswith(prefix):
                    raise BucketError(
                        f"bucket {self.name} lists {printable(entry.key)} where keys under "
                        f"{prefix} that sort after {printable(after)} were requested: use an S3 "
                        "service that lists keys in ascending order"
                    )
                after = entry.key
                yield entry

    def folders(self, prefix: str, most: int | None = None) -> list[str]:
        """Return the prefixes directly under `prefix`, each with its final slash, ascending.

        At most `most` of them, in one request per 1000.
        """
        found: list[str] = []
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            found += (item["Prefix"] for item in page.get("CommonPrefixes", ()))
            if most is not None and len(found) >= most:
                break
        return found[:most]

    def read(self, key: str, largest: int | None = MAX_OBJECT_BYTES) -> Object | None:
        """Return an object of at most `largest` bytes, or None if it does not exist."""
        with self.explain_errors():
            try:
                found = self._client.get_object(Bucket=self.name, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            except ClientError as error:
                # S3 also denies access to missing objects if only faces/ may be listed.
                if error.response["Error"]["Code"] != "AccessDenied" or self._lists(key):
                    raise
                return None
            with found["Body"] as body:
                if largest is None or found["ContentLength"] <= largest:
                    return Object(body.read(), found["LastModified"])
        raise BucketError(f"object {key} is too large for a face: {found['ContentLength']} bytes")

    def check(self) -> None:
        """Raise BucketError if the faces cannot be listed."""
        self.page("faces/", limit=1)

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Translate errors of S3 requests in this context into BucketError."""
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            sentence = f"bucket {self.name} {aws.problem(error, self._right)}"
            self._answered(sentence)
            raise BucketError(sentence) from error
        self._answered(None)

    def _lists(self, key: str) -> bool:
        return any(entry.key == key for entry in self.page(key, limit=1).entries)

    def _pages(self, **asked: str) -> Iterator[dict]:
        pages = iter(self._client.get_paginator(self._listing).paginate(Bucket=self.name, **asked))
        while True:
            with self.explain_errors():
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _answered(self, problem: str | None) -> None:
        self.asked = time.monotonic()
        self._on_answer(problem)


class VersionedBucket(Bucket):
    """A bucket with the former versions of its objects, if its S3 service keeps versions.

    `folders` includes those that hold only former versions.
    """

    def __init__(self, client: Any, name: str, *, right: str) -> None:
        super().__init__(client, name, right=right)
        if self._may_have_versions():
            self._listing = "list_object_versions"

    def versions(self, prefix: str) -> Iterator[list[Version]]:
        """Yield all versions under `prefix` by key, in pages of at most 1000."""
        for page in self._pages(Prefix=prefix):
            yield [
                Version(
                    item["Key"],
                    item.get("VersionId", ""),
                    item.get("Size", 0),
                    item["LastModified"],
                    marker,
                )
                for kind, marker in _KINDS
                for item in page.get(kind, ())
            ]

    def _may_have_versions(self) -> bool:
        """Return whether there may be versions. Without any, some S3s refuse the id "null"."""
        with self.explain_errors():
            try:
                return "Status" in self._client.get_bucket_versioning(Bucket=self.name)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if code in _NO_VERSIONS or status == 501:
                    return False
                if code == "AccessDenied":
                    return True
                raise


def _entries(page: dict) -> list[Entry]:
    return [Entry(item["Key"], item["LastModified"]) for item in page.get("Contents", ())]
