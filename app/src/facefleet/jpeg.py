"""Parse the header of an untrusted JPEG without decoding the picture."""

from collections.abc import Iterator

APP1 = 0xE1
_SCAN = 0xDA  # followed by the compressed picture
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # segments that contain the size
_SEGMENTS = 64  # a camera's JPEG has about ten


def segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of each segment before the picture; stop at a truncated one."""
    at = 2
    for _ in range(_SEGMENTS):
        if jpeg[at : at + 1] != b"\xff":
            return
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if not at + 4 <= end <= len(jpeg):
            return
        yield jpeg[at + 1], jpeg[at + 4 : end]
        if jpeg[at + 1] == _SCAN:
            return
        at = end


def size(jpeg: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels as `jpeg` states, or None if it is not a complete JPEG."""
    if not (jpeg.startswith(b"\xff\xd8\xff") and jpeg.endswith(b"\xff\xd9")):
        return None
    found = None
    for marker, content in segments(jpeg):
        if marker in _FRAMES:
            found = int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big")
        elif marker == _SCAN:
            return found if found and all(found) else None
    return None
