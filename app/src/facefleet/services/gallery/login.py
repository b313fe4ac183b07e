"""A password before the gallery's pages: HTTP Basic, by any name, then a cookie.

The limit is on tries, right or wrong: one a second, each address in its turn. A cookie spares who
has logged in from the line, so that guessing does not keep them out. /healthz, /readyz and /metrics
need no password.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import deque
from ipaddress import ip_address, ip_network

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facefleet.logging import log

OPEN = ("/healthz", "/readyz", "/metrics")
PAUSE = 1.0  # seconds from one try to the next, of all addresses together
WAITING = 4  # tries of one address that wait for their turn; more are refused unseen
ADDRESSES = 256  # that wait
COOKIE = "facefleet-gallery"
SESSION = 30 * 86400  # seconds; a restart of the gallery ends every session


class Login:
    """An application that passes on to another one who knows the password."""

    def __init__(self, application: ASGIApp, password: str) -> None:
        self._application = application
        self._digest = _digest(password.encode())
        self._secret = secrets.token_bytes(32)
        self._line = Line()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or self._has_session(scope):
            await self._application(scope, receive, send)
            return
        given = _password(Headers(scope=scope).get("authorization", ""))
        if given is None:
            await _refusal()(scope, receive, send)
        elif not await self._line.turn(address := _address(scope)):
            refusal = PlainTextResponse(
                "Too many tries: wait a little.\n", 429, {"Retry-After": str(WAITING)}
            )
            await refusal(scope, receive, send)
        elif hmac.compare_digest(_digest(given), self._digest):
            await self._application(scope, receive, self._with_session(scope, send))
        else:
            log.warning("a wrong password", client=address)
            await _refusal()(scope, receive, send)

    def _has_session(self, scope: Scope) -> bool:
        until, _, _ = (token := Request(scope).cookies.get(COOKIE, "")).partition(".")
        return hmac.compare_digest(token.encode(), self._token(until).encode()) and (
            time.time() < int(until)
        )

    def _token(self, until: str) -> str:
        return f"{until}.{hmac.digest(self._secret, until.encode(), 'sha256').hex()}"

    def _with_session(self, scope: Scope, send: Send) -> Send:
        token = self._token(str(int(time.time()) + SESSION))
        secure = "; Secure" if scope["scheme"] == "https" else ""

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append(
                    "Set-Cookie",
                    f"{COOKIE}={token}; Path=/; Max-Age={SESSION}; HttpOnly; SameSite=Strict"
                    f"{secure}",
                )
            await send(message)

        return with_cookie


class Line:
    """Where tries wait: one is let through a pause, and each address has its turn."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # the next address first
        self._serving: asyncio.Task[None] | None = None

    async def turn(self, address: str) -> bool:
        """Wait for a turn; False at once where the line is full."""
        line = self._lines.get(address)
        if len(line) >= WAITING if line else len(self._lines) >= ADDRESSES:
            return False
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(address, deque()).append(turn)
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        await turn
        return True

    async def _serve(self) -> None:
        while self._lines:
            address = next(iter(self._lines))
            line = self._lines.pop(address)
            turn = line.popleft()
            if line:
                self._lines[address] = line
            if not turn.done():  # its client has not gone
                turn.set_result(None)
            await asyncio.sleep(PAUSE)
        self._serving = None


def _refusal() -> PlainTextResponse:
    wanted = {"WWW-Authenticate": 'Basic realm="facefleet", charset="UTF-8"'}
    return PlainTextResponse("The password is needed.\n", 401, wanted)


def _address(scope: Scope) -> str:
    """Of the client; of IPv6 its network, as everybody there has very many."""
    host = (scope["client"] or ("unknown",))[0]
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.version == 4 or address.ipv4_mapped:
        return str(getattr(address, "ipv4_mapped", None) or address)
    return str(ip_network((int(address), 64), strict=False))


def _password(header: str) -> bytes | None:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None


def _digest(password: bytes) -> bytes:
    """All are as long, so that a comparison tells nothing."""
    return hashlib.sha256(password).digest()
