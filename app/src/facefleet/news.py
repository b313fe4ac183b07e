"""News of stored faces: what a processor says, and a gallery hears. A hint: nothing depends on it.

Pure functions: no clock, no network.
"""

import json
from collections.abc import Iterable

from facefleet.names import FaceName, camera_prefix

STORED = "stored/#"
_LARGEST = 64 << 10  # bytes; a processor's has a hundred short names at most


def stored_topic(device: str, camera: str) -> str:
    return f"stored/{device}/{camera}"


def encode(device: str, camera: str, keys: Iterable[str]) -> bytes:
    """The ends of the keys, which are all of one camera: the topic names it."""
    prefix = camera_prefix(device, camera)
    ends = [key.removeprefix(prefix) for key in keys]
    return json.dumps(ends, separators=(",", ":")).encode()


def decode(topic: str, payload: bytes) -> list[FaceName]:
    """The faces, or none where it is not news (anybody may publish anything)."""
    kind, _, camera = topic.partition("/")
    if kind != "stored" or len(payload) > _LARGEST:
        return []
    try:
        ends = json.loads(payload)
    except (ValueError, RecursionError):
        return []
    if not isinstance(ends, list):
        return []
    names = (FaceName.parse(f"faces/{camera}/{end}") for end in ends if isinstance(end, str))
    return [name for name in names if name is not None]
