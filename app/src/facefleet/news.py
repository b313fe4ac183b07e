"""Announcements of stored faces from processors to galleries. Only a hint: they may be lost.

Pure functions: no clock, no network.
"""

import json
from collections.abc import Iterable

from facefleet.protocol import FaceName, camera_prefix

STORED = "stored/#"
_MAX_BYTES = 64 << 10  # a processor announces at most a hundred short names at once


def stored_topic(device: str, camera: str) -> str:
    return f"stored/{device}/{camera}"


def encode(device: str, camera: str, keys: Iterable[str]) -> bytes:
    """Encode keys of one camera's faces, without the part that the topic has."""
    prefix = camera_prefix(device, camera)
    ends = [key.removeprefix(prefix) for key in keys]
    return json.dumps(ends, separators=(",", ":")).encode()


def decode(topic: str, payload: bytes) -> list[FaceName]:
    """Return the announced faces; none if the untrusted payload is not an announcement."""
    kind, _, camera = topic.partition("/")
    if kind != "stored" or len(payload) > _MAX_BYTES:
        return []
    try:
        ends = json.loads(payload)
    except (ValueError, RecursionError):
        return []
    if not isinstance(ends, list):
        return []
    names = (FaceName.parse(f"faces/{camera}/{end}") for end in ends if isinstance(end, str))
    return [name for name in names if name is not None]
