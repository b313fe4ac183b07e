"""A password before the gallery's pages: HTTP Basic, by any name.

What says how it is goes without: /healthz, /readyz and /metrics.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from facefleet.telemetry import log

OPEN = ("/healthz", "/readyz", "/metrics")
PAUSE = 1.0  # seconds: a wrong one is answered after that, and one at a time
WAITING = 20  # wrong ones that wait; more are sent away


class Login:
    """An application that passes on to another one who knows the password."""

    def __init__(self, application: ASGIApp, password: str) -> None:
        self._application = application
        self._digest = _digest(password.encode())
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or self._knows(scope):
            await self._application(scope, receive, send)
        else:
            await (await self._refusal(scope))(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        given = _password(dict(scope["headers"]).get(b"authorization", b""))
        return given is not None and hmac.compare_digest(_digest(given), self._digest)

    async def _refusal(self, scope: Scope) -> PlainTextResponse:
        if b"authorization" in dict(scope["headers"]):
            if self._waiting >= WAITING:
                return PlainTextResponse("Too many wrong passwords: wait a little.\n", 429)
            log.warning("a wrong password", client=(scope["client"] or ("unknown",))[0])
            self._waiting += 1
            try:
                async with self._turn:
                    await asyncio.sleep(PAUSE)
            finally:
                self._waiting -= 1
        wanted = {"WWW-Authenticate": 'Basic realm="facefleet", charset="UTF-8"'}
        return PlainTextResponse("The password is needed.\n", 401, wanted)


def _password(header: bytes) -> bytes | None:
    kind, _, encoded = header.partition(b" ")
    if kind.lower() != b"basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return None


def _digest(password: bytes) -> bytes:
    """All are as long, so that a comparison tells nothing."""
    return hashlib.sha256(password).digest()
