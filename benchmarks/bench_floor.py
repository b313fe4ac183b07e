"""What no shape can beat: a PUT by a raw socket, signed by hand; and what the sink can take."""

import hashlib
import hmac
import socket
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from support.rig import BUCKET, Rig

_FACE = b"\xff\xd8\xff" + bytes(6000) + b"\xff\xd9"
_REGION = "us-east-1"


class _Signer:
    """AWS Signature Version 4 for PUTs; the day's key is derived once."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._scope = f"{self._now[:8]}/{_REGION}/s3/aws4_request"
        key = b"AWS4testing"
        for part in self._scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key = key

    def request(self, path: str, body: bytes) -> bytes:
        digest = hashlib.sha256(body).hexdigest()
        headers = (
            f"host:{self._host}\nif-none-match:*\nx-amz-content-sha256:{digest}\n"
            f"x-amz-date:{self._now}\n"
        )
        names = "host;if-none-match;x-amz-content-sha256;x-amz-date"
        canonical = f"PUT\n{path}\n\n{headers}\n{names}\n{digest}".encode()
        text = (
            f"AWS4-HMAC-SHA256\n{self._now}\n{self._scope}\n{hashlib.sha256(canonical).hexdigest()}"
        )
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        return (
            f"PUT {path} HTTP/1.1\r\nHost: {self._host}\r\nIf-None-Match: *\r\n"
            f"x-amz-content-sha256: {digest}\r\nx-amz-date: {self._now}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential=testing/{self._scope},"
            f"SignedHeaders={names},Signature={signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


def floor(puts: int) -> tuple[float, float]:
    """CPU seconds of a client per 1,000 signed PUTs, one by one; and PUTs a second the sink takes.

    The latter with requests made before, eight on their way at a time on one connection.
    """
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        _, endpoint = rig.sink()
        host, port = endpoint.removeprefix("http://").split(":")
        signer = _Signer(f"{host}:{port}")
        with socket.create_connection((host, int(port))) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began = time.process_time()
            for n in range(puts):
                client.sendall(signer.request(f"/{BUCKET}/one-by-one/{n}", _FACE))
                _await_answers(client, 1)
            signed = 1000 * (time.process_time() - began) / puts
            groups = [
                b"".join(signer.request(f"/{BUCKET}/{n}/{m}", _FACE) for m in range(8))
                for n in range(puts // 8)
            ]
            began = time.monotonic()
            for group in groups:
                client.sendall(group)
                _await_answers(client, 8)
            ceiling = 8 * len(groups) / (time.monotonic() - began)
    return signed, ceiling


def _await_answers(client: socket.socket, count: int) -> None:
    answers = b""
    while answers.count(b"\r\n\r\n") < count:
        answers += client.recv(65536)
    if answers.count(b"HTTP/1.1 200") != count:
        raise RuntimeError(f"the sink did not store every object: {answers[:100]!r}")
