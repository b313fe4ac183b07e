"""Protect the gallery from requests that other web sites cause a browser to send.

Only requests under one of the gallery's own names are served. A site that points its name at this
machine (DNS rebinding) could otherwise read the response. Requests from pages of other sites are
rejected, too.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST_RE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s\[\]:@/]+))(?::\d+)?", re.ASCII)

MISDIRECTED = (
    "The gallery does not serve this host name: open it by its address, such as 127.0.0.1, "
    "or add the name to FACEFLEET_HOSTS.\n"
)
FOREIGN = "This request came from a page of another site: open the gallery directly.\n"


class Guard:
    """A middleware that rejects requests for other host names or from other sites."""

    def __init__(self, application: ASGIApp, names: Iterable[str]) -> None:
        """Serve `names` (host names, addresses), loopback, and the address of the connection."""
        self._application = application
        self._names = {_plain(name) for name in ("localhost", *names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._application
        if scope["type"] == "http":
            if not self._is_ours(scope):
                answer = PlainTextResponse(MISDIRECTED, 421)
            elif _is_foreign(scope):
                answer = PlainTextResponse(FOREIGN, 403)
        await answer(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        hosts = Headers(scope=scope).getlist("host")
        found = _HOST_RE.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        if found is None:
            return False
        name = _plain(found[1] or found[2])
        return name in self._names or _is_loopback(name) or name == _plain(scope["server"][0])


def _is_foreign(scope: Scope) -> bool:
    """Return whether a page of another site sent the request, unless by following a link."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
        return True
    navigates = (
        scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates


def _plain(name: str) -> str:
    """Normalize an address or a host name."""
    try:
        address = ip_address(name)
    except ValueError:
        return name.lower()
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
