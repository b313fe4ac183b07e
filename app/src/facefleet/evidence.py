"""Decide whether a response of S3 proves that an object with a given content is in the bucket.

A status code proves nothing: a login page, a proxy or another service may also respond with 200. An
object counts as stored if the response to the PUT contains the content's digest. Otherwise the
bucket must report an object of the same size, and of the same digest unless encryption hides it
from the ETag.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from xml.etree import ElementTree

from facefleet.errors import FacefleetError

_CODE = re.compile(r"<Code>\s*([\w.]+)\s*</Code>")
_MD5 = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)


def today() -> date:
    """Return the current day in UTC."""
    return datetime.now(UTC).date()


@dataclass(slots=True)
class Answer:
    """The response to one request; `head` is raw, including interim responses."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header of the final response. `name` is in lower case."""
        start = self.head.rfind(b"\r\n\r\nHTTP/") + 1
        found = self.head.lower().find(b"\n%s:" % name.encode(), start)
        if found < 0:
            return None
        line = self.head[found + 1 :].partition(b"\n")[0]
        return line.partition(b":")[2].decode("latin-1").strip()

    @property
    def code(self) -> str | None:
        """The error code in the body."""
        found = _CODE.search(self.body.decode(errors="replace"))
        return found[1] if found else None

    @property
    def etag(self) -> str | None:
        return (self.header("etag") or "").strip('"') or None

    def day(self, name: str) -> date:
        """Return the day (UTC) of a header's time, or today if there is none."""
        return _day(self.header(name)) or today()

    @property
    def region(self) -> str | None:
        """The bucket's region according to S3."""
        if header := self.header("x-amz-bucket-region"):
            return header
        found = re.search(rb"<Region>([\w-]+)</Region>", self.body)
        return found[1].decode() if found else None


@lru_cache(maxsize=16)  # most responses carry the same second as the one before
def _day(text: str | None) -> date | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC).date() if text else None
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """An object as the bucket describes it."""

    size: int
    etag: str
    opaque: bool
    """The ETag may differ from the content's MD5, due to encryption or a multipart upload."""
    day: date = field(default_factory=today)
    """When the object was stored (UTC), by the bucket's clock."""

    def holds(self, content: bytes, etag: str | None = None) -> bool:
        """Return whether this is `content`. `etag`: from the response to a PUT that created it."""
        fits = self.opaque or self.etag in (etag, md5(content))
        return self.size == len(content) and fits


def proves(answer: Answer, content: bytes, checksum: str) -> bool:
    """Return whether the response to a PUT alone proves that `content` was stored.

    `checksum`: the SHA-256 that was sent with the content.
    """
    if answer.status != 200 or answer.etag is None:
        return False
    return answer.header("x-amz-checksum-sha256") == checksum or answer.etag == md5(content)


def by_head(answer: Answer) -> Found | None:
    """Return what a HEAD found; None if the response does not describe an S3 object."""
    size, etag = answer.header("content-length"), answer.etag
    if answer.status != 200 or etag is None or not (size or "").isdecimal():
        return None
    encryption = answer.header("x-amz-server-side-encryption") or ""
    customer = answer.header("x-amz-server-side-encryption-customer-algorithm")
    opaque = encryption.startswith("aws:kms") or bool(customer) or not _MD5.fullmatch(etag)
    return Found(int(size), etag, opaque, answer.day("last-modified"))


def by_listing(answer: Answer, key: str) -> Found | None:
    """Return what a listing of one key found; None if the key is not listed.

    The ETag counts as opaque, since a listing does not mention encryption. Raises NoListingError.
    """
    try:
        root = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError as error:
        raise NoListingError("the response is not a bucket listing") from error
    if _tag(root) != "ListBucketResult":
        raise NoListingError("the response is not a bucket listing")
    for entry in root:
        fields = {_tag(element): element.text or "" for element in entry}
        if fields.get("Key") == key and fields.get("Size", "").isdecimal():
            etag = fields.get("ETag", "").strip('"')
            return Found(int(fields["Size"]), etag, True, _listed_day(fields.get("LastModified")))
    return None


def _listed_day(text: str | None) -> date:
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        return today()


class NoListingError(FacefleetError):
    """A response is not a bucket listing."""


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
