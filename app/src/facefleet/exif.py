"""The EXIF of a face's JPEG: where and when it was captured, and its box in the frame."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from PIL import Image
from PIL.ExifTags import IFD, Base

from facefleet.errors import FacefleetError
from facefleet.jpeg import APP1, segments, size

_MAKE = "facefleet"
_TIME = "%Y:%m:%d %H:%M:%S"
_ASCII = b"ASCII\0\0\0"  # the character code that EXIF requires before a user comment
_EXIF = b"Exif\0\0"
_START_OF_IMAGE = b"\xff\xd8"

T = TypeVar("T")


class NotAJpegError(FacefleetError):
    """The bytes are not a JPEG."""


@dataclass(frozen=True, slots=True)
class FaceInfo:
    """The EXIF of a face; all fields are None unless a facefleet detector wrote the JPEG.

    Faces of earlier versions have none of the fields from `landmarks` on. Landmarks are those of
    YuNet only: eyes, nose and corners of the mouth, from the left in the frame.
    """

    device: str | None = None
    camera: str | None = None
    captured: datetime | None = None  # UTC
    box: tuple[int, int, int, int] | None = None  # x, y, width, height in the frame, in pixels
    score: float | None = None
    detector: str | None = None
    landmarks: tuple[tuple[int, int], ...] | None = None  # x, y in the frame, in pixels
    quality: float | None = None  # 0 to 1
    visit: str | None = None  # the same for all faces of a visit; None without visits
    candidates: int | None = None  # how many pictures of the visit this one was chosen from


def write_exif(jpeg: bytes, info: FaceInfo) -> bytes:
    """Return `jpeg` with `info`, whose first six fields are set, as its EXIF.

    `captured` must have a time zone. Nothing is recoded.
    """
    exif = _encode(info)
    segment = bytes((0xFF, APP1)) + (len(exif) + 2).to_bytes(2, "big") + exif
    # Pillow would re-encode the picture to write its EXIF.
    return _START_OF_IMAGE + segment + jpeg[len(_START_OF_IMAGE) :]


def read_exif(jpeg: bytes) -> FaceInfo:
    """Return the EXIF of `jpeg`. Raises NotAJpegError."""
    if size(jpeg) is None:
        raise NotAJpegError("This is not a JPEG.")
    contents = (content for marker, content in segments(jpeg) if marker == APP1)
    written = next((content for content in contents if content.startswith(_EXIF)), b"")
    try:
        exif = Image.Exif()
        exif.load(written)
        if exif.get(Base.Make) != _MAKE:
            return FaceInfo()
        details = exif.get_ifd(IFD.Exif)
        captured = f"{details[Base.DateTimeOriginal]}.{details[Base.SubsecTimeOriginal]}"
        comment = json.loads(details[Base.UserComment].removeprefix(_ASCII))
        x, y, width, height = map(int, comment["box"])
        return FaceInfo(
            device=_text(exif[Base.HostComputer]),
            camera=_text(exif[Base.Model]),
            captured=datetime.strptime(captured, f"{_TIME}.%f").replace(tzinfo=UTC),
            box=(x, y, width, height),
            score=float(comment["score"]),
            detector=_text(exif[Base.Software]),
            landmarks=_optional(comment, "landmarks", _points),
            quality=_optional(comment, "quality", float),
            visit=_optional(comment, "visit", _text),
            candidates=_optional(comment, "candidates", int),
        )
    except Exception:  # untrusted EXIF may break the parser in any way: treat it as absent
        return FaceInfo()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _optional(comment: dict, key: str, read: Callable[[Any], T]) -> T | None:
    return None if comment.get(key) is None else read(comment[key])


def _points(value: Any) -> tuple[tuple[int, int], ...]:
    return tuple((int(x), int(y)) for x, y in value)


def _encode(info: FaceInfo) -> bytes:
    captured = info.captured.astimezone(UTC)
    every = {
        "box": info.box,
        "score": info.score,
        "landmarks": info.landmarks,
        "quality": info.quality,
        "visit": info.visit,
        "candidates": info.candidates,
    }
    comment = {key: value for key, value in every.items() if value is not None}
    exif = Image.Exif()
    exif[Base.Make] = _MAKE
    exif[Base.Model] = info.camera
    exif[Base.HostComputer] = info.device
    exif[Base.Software] = info.detector
    exif[Base.ExifOffset] = {
        Base.DateTimeOriginal: captured.strftime(_TIME),
        Base.SubsecTimeOriginal: f"{captured:%f}",
        Base.OffsetTimeOriginal: "+00:00",
        Base.UserComment: _ASCII + json.dumps(comment, separators=(",", ":")).encode(),
    }
    return exif.tobytes()
