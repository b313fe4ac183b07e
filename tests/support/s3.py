"""A small S3 server on loopback: exact create-only PUTs, and faults and counters on request.

It speaks as much of S3 as boto3 and libcurl need here, unmodified: buckets made by PUT, objects by
PUT (`If-None-Match: *`), GET, HEAD, DELETE, and ListObjectsV2 in pages. Signatures are not checked,
and everything is kept in memory. `/_lab` is no bucket's name: GET gives the counters as JSON, POST
sets faults: {"status": 503} answers every S3 request so, {"delay": 1.0} holds each PUT.
"""

import argparse
import asyncio
import hashlib
import json
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

LAB = "/_lab"
PAGE = 1000  # keys, as S3 has it
COUNTED = "faces/"  # the probe that a processor writes is not a face


@dataclass
class Faults:
    status: int = 0  # what S3 requests are answered with; 0: properly
    delay: float = 0  # seconds a PUT: half before it takes place, half before it is answered


@dataclass
class Counters:
    puts: int = 0  # requests for a face, whatever became of them
    conflicts: int = 0  # of these, answered with 412


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Object:
    data: bytes
    etag: str
    modified: datetime
    attributes: dict[str, str]  # Content-Type and x-amz-meta-*

    @property
    def headers(self) -> dict[str, str]:
        modified = format_datetime(self.modified, usegmt=True)
        return {**self.attributes, "ETag": self.etag, "Last-Modified": modified}


class Control:
    """A test's hand on a server."""

    def __init__(self, endpoint: str) -> None:
        self._url = endpoint + LAB

    def fault(self, **faults: float) -> None:
        """Set some of the faults; 0 puts one in order again."""
        urllib.request.urlopen(self._url, json.dumps(faults).encode(), timeout=10).close()

    def counters(self) -> dict[str, int]:
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            return json.load(answer)


class Server:
    """The buckets, and what is wrong with them for now."""

    def __init__(self, buckets: list[str]) -> None:
        self._buckets: dict[str, dict[str, Object]] = {name: {} for name in buckets}
        self._faults = Faults()
        self._counters = Counters()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await _read(reader, writer)
                answer = await self._answer(request, reader.at_eof)
                writer.write(_encode(answer, request.method))
                await writer.drain()
        writer.close()

    async def _answer(self, request: Request, gone: Callable[[], bool]) -> Answer:
        if request.path == LAB:
            return self._lab(request)
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if request.method == "PUT" and key.startswith(COUNTED):
            self._counters.puts += 1
        if self._faults.status:
            return _error(self._faults.status, "SlowDown", "as the test wants it")
        if not key:
            return self._bucket(request, bucket)
        if bucket not in self._buckets:
            return _error(404, "NoSuchBucket", bucket)
        wait = self._faults.delay / 2 if request.method == "PUT" else 0
        await asyncio.sleep(wait)
        if gone():  # a PUT whose client dies in the middle of it
            raise ConnectionResetError
        answer = self._object(request, self._buckets[bucket], key)
        await asyncio.sleep(wait)
        return answer

    def _lab(self, request: Request) -> Answer:
        if request.method == "POST":
            self._faults = replace(self._faults, **json.loads(request.body))
        return Answer(200, json.dumps(asdict(self._counters)).encode())

    def _bucket(self, request: Request, name: str) -> Answer:
        if request.method == "PUT":
            self._buckets.setdefault(name, {})
            return Answer(200)
        if name not in self._buckets:
            return _error(404, "NoSuchBucket", name)
        if request.method == "HEAD":
            return Answer(200)
        if request.method == "GET" and request.query.get("list-type") == "2":
            return _listing(name, self._buckets[name], request.query)
        return _error(501, "NotImplemented", f"{request.method} {request.path}")

    def _object(self, request: Request, bucket: dict[str, Object], key: str) -> Answer:
        """From here on nothing is awaited: a look and a write are one step."""
        found = bucket.get(key)
        match request.method:
            case "PUT":
                return self._put(request, bucket, key)
            case "DELETE":
                bucket.pop(key, None)
                return Answer(204)
            case "GET" | "HEAD" if found is None:
                return _error(404, "NoSuchKey", key)
            case "GET" | "HEAD":
                return Answer(200, found.data, found.headers)
        return _error(501, "NotImplemented", f"{request.method} {request.path}")

    def _put(self, request: Request, bucket: dict[str, Object], key: str) -> Answer:
        if "aws-chunked" in request.headers.get("content-encoding", ""):
            return _error(501, "NotImplemented", "chunked signatures")
        if request.headers.get("if-none-match") == "*" and key in bucket:
            self._counters.conflicts += key.startswith(COUNTED)
            return _error(412, "PreconditionFailed", "the key exists")
        digest = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        attributes = {
            name: value
            for name, value in request.headers.items()
            if name == "content-type" or name.startswith("x-amz-meta-")
        }
        bucket[key] = Object(request.body, f'"{digest}"', datetime.now(UTC), attributes)
        return Answer(200, headers={"ETag": f'"{digest}"'})


def _listing(name: str, bucket: dict[str, Object], query: dict[str, str]) -> Answer:
    prefix = query.get("prefix", "")
    after = query.get("continuation-token") or query.get("start-after", "")
    size = min(PAGE, int(query.get("max-keys", PAGE)))
    found = sorted(key for key in bucket if key.startswith(prefix) and key > after)
    page, more = found[:size], len(found) > size
    spell = quote if query.get("encoding-type") == "url" else escape
    parts = [
        f"<Name>{name}</Name><Prefix>{spell(prefix)}</Prefix><MaxKeys>{size}</MaxKeys>",
        f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>",
    ]
    if spell is quote:
        parts.append("<EncodingType>url</EncodingType>")
    if more:
        parts.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
    for key in page:
        entry = bucket[key]
        parts.append(
            f"<Contents><Key>{spell(key)}</Key><Size>{len(entry.data)}</Size>"
            f"<LastModified>{entry.modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(entry.etag)}</ETag><StorageClass>STANDARD</StorageClass></Contents>"
        )
    return _xml(200, "ListBucketResult", "".join(parts))


def _error(status: int, code: str, message: str) -> Answer:
    return _xml(status, "Error", f"<Code>{code}</Code><Message>{escape(message)}</Message>")


def _xml(status: int, root: str, body: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{body}</{root}>'
    return Answer(status, text.encode(), {"content-type": "application/xml"})


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    fields = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(method, unquote(parts.path), query, headers, body)


def _encode(answer: Answer, method: str) -> bytes:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if method == "HEAD" else head + answer.body


async def _serve(port: int, buckets: list[str]) -> None:
    server = await asyncio.start_server(Server(buckets).converse, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A small S3 server on 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--bucket", action="append", default=[], help="made at the start")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.port, arguments.bucket))


if __name__ == "__main__":
    main()
