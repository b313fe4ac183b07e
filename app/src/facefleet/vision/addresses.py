"""Add user and password to a camera's address, and redact it for logs.

A redacted source has only parts that cannot be secret.
"""

import ipaddress
import re
from urllib.parse import quote

STREAMS = ("rtsp", "rtsps", "http", "https")
PIPELINE = "gstreamer:"

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
# Requires user and password without URL delimiters, and a single @.
_ADDRESS = re.compile(
    r"(?:[^@/?#\\\s]*@)?(?P<host>\[[0-9a-f:.]+\]|[^@/?#\\\s:]+)(?::(?P<port>\d{1,5}))?(?:[/?#][^@]*)?",
    re.IGNORECASE,
)
_PATH = re.compile(r"[\w./ -]*")  # without any delimiter that even a mistyped URL would have


def scheme(source: str) -> str | None:
    """Return the scheme of a stream's URL in lower case, or None for other sources."""
    found, separator, _ = source.partition("://")
    return found.lower() if separator and found.lower() in STREAMS else None


def with_login(address: str, user: str, password: str) -> str:
    """Return the URL of a stream, which has no user yet, with user and password."""
    known, separator, rest = address.partition("://")
    # FFmpeg sends no user without a colon after it.
    return f"{known}{separator}{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def shown(source: str) -> str:
    """Return `source` for a log or a status, without user, password, path and query of a URL.

    If the host cannot be identified with certainty, it is omitted as well, because a password may
    contain any delimiter, and a typo may shift the parts.
    """
    if (known := scheme(source)) is not None:
        return f"{known}://{_host(source.partition('://')[2])}"
    if source.startswith(PIPELINE):
        return f"{PIPELINE}..."
    if source.startswith("sample:") or not _PATH.fullmatch(source):
        name = source.removeprefix("sample:")
        return (
            source if name != source and _PATH.fullmatch(name) else "(not shown: it may be secret)"
        )
    return source


def _host(rest: str) -> str:
    found = _ADDRESS.fullmatch(rest)
    if found is None:
        return "..."
    host, port = found["host"], found["port"]
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if not _HOST.fullmatch(host):
            return "..."
        # In `rtsp://admin:12345`, the host is missing: these are user and password.
        if "." not in host:
            port = None
    return f"{host}:{port}" if port else host
