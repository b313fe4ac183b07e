"""An S3 server that keeps keys and forgets bytes: `python -m support.sink PORT [--seconds S]`.

As fast as Python goes, to measure clients against. PUT answers as S3 does, `If-None-Match: *`
included: of several at once the first to end is stored, the others get 412. As in a bucket that is
encrypted with KMS, an ETag is not the content's MD5, which would be most of the server's work.
HEAD gives an object's size and ETag. GET / gives `{"objects": n, "puts": n, "bytes": n}` as JSON.
"""

import argparse
import asyncio
import json
import re
from typing import NamedTuple

_HEADER = re.compile(
    rb"\r\n(content-length|if-none-match|expect|x-amz-checksum-sha256): *([^\r]*)", re.IGNORECASE
)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_ENCRYPTED = b"x-amz-server-side-encryption: aws:kms\r\n"
_STORED = b'HTTP/1.1 200 OK\r\nETag: "%s"\r\n' + _ENCRYPTED + b"%sContent-Length: 0\r\n\r\n"
_CHECKSUM = b"x-amz-checksum-sha256"
_THERE = b'HTTP/1.1 200 OK\r\nETag: "%s"\r\n' + _ENCRYPTED + b"Content-Length: %d\r\n\r\n"


def _xml(status: bytes, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    return b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body.encode(),
    )


_EXISTS = _xml(b"412 Precondition Failed", "PreconditionFailed")
_NO_KEY = _xml(b"404 Not Found", "NoSuchKey")
_NO_LENGTH = _xml(b"411 Length Required", "MissingContentLength")
_NOT_HERE = _xml(b"501 Not Implemented", "NotImplemented")


class _Put(NamedTuple):
    path: bytes
    size: int
    only_new: bool
    checksum: bytes | None  # given back, as S3 does


class Sink:
    """What all connections share."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds  # that every PUT takes
        self.objects: dict[bytes, tuple[bytes, int]] = {}  # ETag and size, by path
        self.puts = 0

    def put(self, put: "_Put") -> bytes:
        self.puts += 1
        if put.only_new and put.path in self.objects:
            return _EXISTS
        etag = b"%032x" % self.puts
        self.objects[put.path] = etag, put.size
        checksum = b"%s: %s\r\n" % (_CHECKSUM, put.checksum) if put.checksum else b""
        return _STORED % (etag, checksum)

    def head(self, path: bytes) -> bytes:
        return _THERE % self.objects[path] if path in self.objects else _NO_KEY

    def counts(self) -> bytes:
        total = sum(size for _, size in self.objects.values())
        body = json.dumps({"objects": len(self.objects), "puts": self.puts, "bytes": total})
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body.encode())


class _Connection(asyncio.Protocol):
    """One client: requests in turn (a client may send the next before the answer)."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._missing = 0  # bytes to wait for before the buffer is looked at again
        self._put: _Put | None = None  # whose body is awaited
        self._waiting = False  # for the end of a slow PUT

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if len(self._buffer) >= self._missing and not self._waiting:
            self._read()

    def _read(self) -> None:
        while self._buffer and not self._waiting:
            if self._put is None and not self._head():
                return
            if self._put is not None and not self._body():
                return

    def _head(self) -> bool:
        """Take a request's head from the buffer; False where it is not whole yet."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        method, path, _ = head.split(b" ", 2)
        headers = {name.lower(): value for name, value in _HEADER.findall(head)}
        match method:
            case b"PUT" if b"content-length" in headers:
                if headers.get(b"expect", b"").lower() == b"100-continue":
                    self._transport.write(_CONTINUE)
                only_new = headers.get(b"if-none-match") == b"*"
                size = int(headers[b"content-length"])
                self._put = _Put(path, size, only_new, headers.get(_CHECKSUM))
            case b"PUT":
                self._transport.write(_NO_LENGTH)
            case b"GET" if path == b"/":
                self._transport.write(self._sink.counts())
            case b"HEAD":
                answer = self._sink.head(path).partition(b"\r\n\r\n")[0]
                self._transport.write(answer + b"\r\n\r\n")
            case _:
                self._transport.write(_NOT_HERE)
        return True

    def _body(self) -> bool:
        """Take the PUT's body from the buffer and answer; False where it is not whole yet."""
        size = self._put.size
        if len(self._buffer) < size:
            self._missing = size
            return False
        self._buffer = self._buffer[size:]
        self._missing = 0
        if self._sink.seconds:
            self._waiting = True
            asyncio.get_running_loop().call_later(self._sink.seconds, self._answer_late)
        else:
            self._answer()
        return True

    def _answer(self) -> None:
        answer = self._sink.put(self._put)
        self._put = None
        self._transport.write(answer)

    def _answer_late(self) -> None:
        self._answer()
        self._waiting = False
        self._read()


async def serve(port: int, seconds: float) -> None:
    """Answer on 127.0.0.1 until cancelled; each PUT takes `seconds`."""
    sink = Sink(seconds)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(sink), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="an S3 server that forgets what it is given")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=0.0, help="that every PUT takes")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.seconds))


if __name__ == "__main__":
    main()
