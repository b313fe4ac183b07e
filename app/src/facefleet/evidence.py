"""Whether an answer of S3's proves that an object with a content is in the bucket.

A status proves nothing: a login page, a proxy or a wrong port answers 200 as well. An object counts
as stored when PUT's answer names the content's digest, or else when the bucket, asked for the
object, has one of its size, and of its digest where the encryption leaves that in the ETag.
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
    return datetime.now(UTC).date()


@dataclass(slots=True)
class Answer:
    """What came for one request: `head` as it was received, interim answers and all."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """`name` in lower case."""
        start = self.head.rfind(b"\r\n\r\nHTTP/") + 1
        found = self.head.lower().find(b"\n%s:" % name.encode(), start)
        if found < 0:
            return None
        line = self.head[found + 1 :].partition(b"\n")[0]
        return line.partition(b":")[2].decode("latin-1").strip()

    @property
    def code(self) -> str | None:
        """Of the error document."""
        found = _CODE.search(self.body.decode(errors="replace"))
        return found[1] if found else None

    @property
    def etag(self) -> str | None:
        return (self.header("etag") or "").strip('"') or None

    def day(self, name: str) -> date:
        """The day (UTC) of a header's time, and today's where there is none."""
        return _day(self.header(name)) or today()

    @property
    def region(self) -> str | None:
        """Where S3 says that the bucket is."""
        if told := self.header("x-amz-bucket-region"):
            return told
        found = re.search(rb"<Region>([\w-]+)</Region>", self.body)
        return found[1].decode() if found else None


@lru_cache(maxsize=16)  # most answers come within a second of another
def _day(text: str | None) -> date | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC).date() if text else None
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Found:
    """An object as the bucket tells of it."""

    size: int
    etag: str
    opaque: bool
    """The ETag may be other than the content's MD5: by encryption, or in parts."""
    day: date = field(default_factory=today)
    """When it was stored (UTC), by the bucket's clock."""

    def holds(self, content: bytes, etag: str | None = None) -> bool:
        """`etag`: of the answer to the PUT, which an object that it made has too."""
        fits = self.opaque or self.etag in (etag, md5(content))
        return self.size == len(content) and fits


def proves(answer: Answer, content: bytes, checksum: str) -> bool:
    """Whether the answer to a PUT proves by itself that this content was stored.

    `checksum`: the content's SHA-256, as it was sent with it.
    """
    if answer.status != 200 or answer.etag is None:
        return False
    return answer.header("x-amz-checksum-sha256") == checksum or answer.etag == md5(content)


def by_head(answer: Answer) -> Found | None:
    """What a HEAD found; None where it names no object of S3's."""
    size, etag = answer.header("content-length"), answer.etag
    if answer.status != 200 or etag is None or not (size or "").isdecimal():
        return None
    encryption = answer.header("x-amz-server-side-encryption") or ""
    customer = answer.header("x-amz-server-side-encryption-customer-algorithm")
    opaque = encryption.startswith("aws:kms") or bool(customer) or not _MD5.fullmatch(etag)
    return Found(int(size), etag, opaque, answer.day("last-modified"))


def by_listing(answer: Answer, key: str) -> Found | None:
    """What a listing of one key found; None where it has it not. Raises NoListingError.

    A listing does not tell of the encryption.
    """
    try:
        root = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError as error:
        raise NoListingError("no listing") from error
    if _tag(root) != "ListBucketResult":
        raise NoListingError("no listing")
    for entry in root:
        fields = {_tag(one): one.text or "" for one in entry}
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
    """What was answered is no listing of a bucket."""


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
