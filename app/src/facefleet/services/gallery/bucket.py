"""The bucket as the gallery sees it: read only, and every failure told as a sentence."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client import Counter

from facefleet import aws
from facefleet.errors import FacefleetError

PAGE = 250
"""Keys in one answer: a few screens of faces. An answer takes as long as it has keys."""
LARGEST = 16 << 20
"""Bytes of an object that are read into memory: no face comes near it."""
RIGHTS = "s3:ListBucket and s3:GetObject"
LISTS = Counter("facefleet_gallery_lists", "LIST requests to the bucket: they are what S3 charges")


def connect() -> Any:
    """An S3 client that never keeps a page, or the end of the gallery, waiting for long."""
    client = aws.s3_client(read_timeout=4, attempts=1)
    client.meta.events.register("before-send.s3.ListObjectsV2", lambda **_: LISTS.inc())
    return client


class BucketError(FacefleetError):
    """The bucket cannot be listed or read."""


class Entry(NamedTuple):
    """A key, and when S3 got its object, by S3's clock."""

    key: str
    stored: datetime


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

    `on_answer(problem)` is called after each request, in its thread: a sentence, or None.
    """

    def __init__(
        self, client: Any, name: str, on_answer: Callable[[str | None], None] = lambda _: None
    ) -> None:
        self.name = name
        self.asked = 0.0  # monotonic: when the last request was answered, or given up
        self._client = client
        self._on_answer = on_answer

    def page(self, prefix: str, after: str = "", limit: int = PAGE) -> Page:
        """The first entries under `prefix` that sort after `after`: one request."""
        with self._told():
            answer = self._client.list_objects_v2(
                Bucket=self.name, Prefix=prefix, StartAfter=after, MaxKeys=limit
            )
        found = answer.get("Contents", ())
        return Page(
            [Entry(item["Key"], item["LastModified"]) for item in found], answer["IsTruncated"]
        )

    def folders(self, prefix: str, most: int) -> list[str]:
        """What lies directly under `prefix`, as prefixes that end in a slash, ascending.

        At most `most` of them: a request a thousand.
        """
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, Delimiter="/"
        )
        found: list[str] = []
        with self._told():
            for page in pages:
                found += (item["Prefix"] for item in page.get("CommonPrefixes", ()))
                if len(found) >= most:
                    break
        return found[:most]

    def read(self, key: str) -> Object | None:
        """An object, or None where there is no such object."""
        with self._told():
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
                if found["ContentLength"] <= LARGEST:
                    return Object(body.read(), found["LastModified"])
        raise BucketError(f"The object {key} has {found['ContentLength']} bytes: it is no face.")

    def _lists(self, key: str) -> bool:
        return any(entry.key == key for entry in self.page(key, limit=1).entries)

    def check(self) -> None:
        """Raise BucketError where the faces cannot be listed."""
        self.page("faces/", limit=1)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            sentence = f"The bucket {self.name} {aws.problem(error, RIGHTS)}."
            self.asked = time.monotonic()
            self._on_answer(sentence)
            raise BucketError(sentence) from error
        self.asked = time.monotonic()
        self._on_answer(None)
