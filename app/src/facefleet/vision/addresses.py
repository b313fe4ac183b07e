"""What may be shown of a source: only what is known not to be a secret."""

import ipaddress
import re

STREAMS = ("rtsp", "rtsps", "http", "https")

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
# User and password have no delimiter of an address in them, and there is one @ in all.
_ADDRESS = re.compile(
    r"(?:[^@/?#\\\s]*@)?(?P<host>\[[0-9a-f:.]+\]|[^@/?#\\\s:]+)(?::(?P<port>\d{1,5}))?(?:[/?#][^@]*)?",
    re.IGNORECASE,
)
_PATH = re.compile(r"[\w./ -]*")  # nothing that an address, or what was meant as one, has


def scheme(source: str) -> str | None:
    """The scheme of a stream's address, in small letters; None where it is not one."""
    found, separator, _ = source.partition("://")
    return found.lower() if separator and found.lower() in STREAMS else None


def shown(source: str) -> str:
    """`source` for a log or a status: user, password, path and query of an address are left out.

    Where it cannot be told which part is the host, the host is left out too: a password may hold
    any delimiter, and a typing error moves the parts.
    """
    if (known := scheme(source)) is not None:
        return f"{known}://{_host(source.partition('://')[2])}"
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
        # `rtsp://admin:12345` lacks its host: what looks like host and port is user and password.
        if "." not in host:
            port = None
    return f"{host}:{port}" if port else host
