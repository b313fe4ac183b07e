"""Bytes that pass for a JPEG wherever nobody decodes it."""

_HEAD = (
    b"\xff\xd8"  # the start; a frame of one gray component; the scan, in which anything may stand
    b"\xff\xc0\x00\x0b\x08%b%b\x01\x01\x11\x00"
    b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
)
_END = b"\xff\xd9"
HEAD = _HEAD % (b"\x00\x08", b"\x00\x08")


def jpeg(content: bytes, width: int = 8, height: int = 8) -> bytes:
    """A JPEG that says it is so large, with `content` for its picture."""
    return _HEAD % (height.to_bytes(2, "big"), width.to_bytes(2, "big")) + content + _END
