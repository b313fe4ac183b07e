"""Require a password for the gallery's pages: HTTP Basic with any user name, then a cookie.

Attempts are limited, whether right or wrong: one per second, with the client addresses taking
turns. Clients with a cookie skip this queue, so that attackers who guess passwords cannot lock them
out. /healthz, /readyz and /metrics need no password.
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

PUBLIC_PATHS = ("/healthz", "/readyz", "/metrics")
ATTEMPT_INTERVAL = 1.0  # seconds between attempts of all addresses together
MAX_QUEUED = 4  # queued attempts per address; further ones are rejected
MAX_ADDRESSES = 256  # queued addresses; further ones are rejected
COOKIE = "facefleet-gallery"
SESSION_SECONDS = 30 * 86400  # a restart of the gallery ends every session


class BasicAuthMiddleware:
    """A middleware that admits clients with the password or a session cookie."""

    def __init__(self, application: ASGIApp, password: str) -> None:
        self._application = application
        self._digest = _digest(password.encode())
        self._secret = secrets.token_bytes(32)
        self._queue = AttemptQueue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PUBLIC_PATHS or self._has_session(scope):
            await self._application(scope, receive, send)
            return
        given = _password(Headers(scope=scope).get("authorization", ""))
        if given is None:
            await _refusal()(scope, receive, send)
        elif not await self._queue.wait_turn(address := _address(scope)):
            refusal = PlainTextResponse(
                "Too many login attempts: wait a few seconds.\n",
                429,
                {"Retry-After": str(MAX_QUEUED)},
            )
            await refusal(scope, receive, send)
        elif hmac.compare_digest(_digest(given), self._digest):
            await self._application(scope, receive, self._with_session(scope, send))
        else:
            log.warning("wrong password", client=address)
            await _refusal()(scope, receive, send)

    def _has_session(self, scope: Scope) -> bool:
        until, _, _ = (token := Request(scope).cookies.get(COOKIE, "")).partition(".")
        return hmac.compare_digest(token.encode(), self._token(until).encode()) and (
            time.time() < int(until)
        )

    def _token(self, until: str) -> str:
        return f"{until}.{hmac.digest(self._secret, until.encode(), 'sha256').hex()}"

    def _with_session(self, scope: Scope, send: Send) -> Send:
        token = self._token(str(int(time.time()) + SESSION_SECONDS))
        secure = "; Secure" if scope["scheme"] == "https" else ""

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append(
                    "Set-Cookie",
                    f"{COOKIE}={token}; Path=/; Max-Age={SESSION_SECONDS}; HttpOnly; "
                    f"SameSite=Strict{secure}",
                )
            await send(message)

        return with_cookie


class AttemptQueue:
    """Queues login attempts: admits one per pause, with the addresses taking turns."""

    def __init__(self) -> None:
        self._turns: dict[str, deque[asyncio.Future[None]]] = {}  # the next address first
        self._serving: asyncio.Task[None] | None = None

    async def wait_turn(self, address: str) -> bool:
        """Wait until the attempt is admitted. Return False immediately if the queue is full."""
        turns = self._turns.get(address)
        if len(turns) >= MAX_QUEUED if turns else len(self._turns) >= MAX_ADDRESSES:
            return False
        turn = asyncio.get_running_loop().create_future()
        self._turns.setdefault(address, deque()).append(turn)
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        await turn
        return True

    async def _serve(self) -> None:
        while self._turns:
            address = next(iter(self._turns))
            turns = self._turns.pop(address)
            turn = turns.popleft()
            if turns:
                self._turns[address] = turns
            if not turn.done():  # the client is still connected
                turn.set_result(None)
            await asyncio.sleep(ATTEMPT_INTERVAL)
        self._serving = None


def _refusal() -> PlainTextResponse:
    challenge = {"WWW-Authenticate": 'Basic realm="facefleet", charset="UTF-8"'}
    return PlainTextResponse("A password is required.\n", 401, challenge)


def _address(scope: Scope) -> str:
    """Return the client's address; for IPv6 its /64 network, as a client has many addresses."""
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
    """Hash a password, so that comparing does not reveal its length."""
    return hashlib.sha256(password).digest()
