"""Reading a bucket: its keys and objects, with every failure as one sentence."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from facefleet import aws
from facefleet.errors import FacefleetError

LARGEST = 16 << 20
"""Bytes of an object that are read into memory: no face comes near it."""
READ = "s3:ListBucket and s3:GetObject"
_KINDS = (("Versions", False), ("Contents", False), ("DeleteMarkers", True))
_NO_VERSIONS = {"InvalidArgument", "InvalidRequest", "MethodNotAllowed", "NotImplemented"}


class BucketError(FacefleetError):
    """S3 refuses a request, or cannot be reached."""


class Entry(NamedTuple):
    """A key, and when S3 got its object, by S3's clock."""

    key: str
    stored: datetime


class Version(NamedTuple):
    """A version of an object, or a delete marker."""

    key: str
    id: str  # empty where the S3 keeps no versions
    size: int  # bytes
    modified: datetime
    marker: bool


class Object(NamedTuple):
    content: bytes
    stored: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Entries in ascending order, and whether more follow."""

    entries: list[Entry]
    truncated: bool


class Bucket:
    """A bucket by its name. Every method makes requests and may raise BucketError.

    `right`: what the credentials must be allowed to do, for the sentence where they are not.
    `on_answer(problem)` is called after each request, in its thread: a sentence, or None.
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
        self.asked = 0.0  # monotonic: when the last request was answered, or given up
        self._client = client
        self._right = right
        self._on_answer = on_answer

    def page(self, prefix: str, after: str = "", limit: int = 1000) -> Page:
        """The first entries under `prefix` that sort after `after`: one request."""
        with self.explain_errors():
            answer = self._client.list_objects_v2(
                Bucket=self.name, Prefix=prefix, StartAfter=after, MaxKeys=limit
            )
        return Page(_entries(answer), answer["IsTruncated"])

    def entries(self, prefix: str) -> Iterator[Entry]:
        """All under `prefix`, ascending; a page of a thousand in memory at a time."""
        for page in self._pages(Prefix=prefix):
            yield from _entries(page)

    def folders(self, prefix: str, most: int | None = None) -> list[str]:
        """What lies directly under `prefix`, as prefixes that end in a slash, ascending.

        At most `most` of them: a request a thousand.
        """
        found: list[str] = []
        for page in self._pages(Prefix=prefix, Delimiter="/"):
            found += (item["Prefix"] for item in page.get("CommonPrefixes", ()))
            if most is not None and len(found) >= most:
                break
        return found[:most]

    def read(self, key: str, largest: int | None = LARGEST) -> Object | None:
        """An object of at most `largest` bytes, or None where there is no such object."""
        with self.explain_errors():
            try:
                found = self._client.get_object(Bucket=self.name, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            except ClientError as error:
                # So S3 says of what is not there to whom may list no more than faces/.
                if error.response["Error"]["Code"] != "AccessDenied" or self._lists(key):
                    raise
                return None
            with found["Body"] as body:
                if largest is None or found["ContentLength"] <= largest:
                    return Object(body.read(), found["LastModified"])
        raise BucketError(f"object {key} has {found['ContentLength']} bytes: it is no face")

    def check(self) -> None:
        """Raise BucketError where the faces cannot be listed."""
        self.page("faces/", limit=1)

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Raise what S3 answers to a request in here as a BucketError."""
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
    """A bucket with the former versions of its objects, on an S3 that may keep none.

    Its folders are also those in which there are only former versions.
    """

    def __init__(self, client: Any, name: str, *, right: str) -> None:
        super().__init__(client, name, right=right)
        if self._may_have_versions():
            self._listing = "list_object_versions"

    def versions(self, prefix: str) -> Iterator[list[Version]]:
        """All under `prefix`, by key; a page of at most a thousand at a time."""
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
        """Whether the bucket may; some that never had any do not even take the id "null"."""
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
