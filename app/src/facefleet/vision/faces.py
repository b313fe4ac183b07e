"""A face as a JPEG that says by its EXIF where and when it was taken."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import cv2
import numpy as np
from PIL import Image
from PIL.ExifTags import IFD, Base

from facefleet.vision.detectors import Detection
from facefleet.vision.errors import VisionError
from facefleet.vision.jpeg import APP1, segments, size

_MAKE = "facefleet"
_MARGIN = 0.2  # of the box, on each side
_QUALITY = 90
_LONGEST = 800  # pixels of a crop's side; even of noise, that is less than a processor takes
_TIME = "%Y:%m:%d %H:%M:%S"
_ASCII = b"ASCII\0\0\0"  # the character code that EXIF wants before a user comment
_EXIF = b"Exif\0\0"
_START_OF_IMAGE = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class FaceInfo:
    """What a face's EXIF says; all None in a JPEG that is not from here."""

    device: str | None = None
    camera: str | None = None
    captured: datetime | None = None  # UTC
    box: tuple[int, int, int, int] | None = None  # x, y, width, height in the frame, in pixels
    score: float | None = None
    detector: str | None = None


def encode_face(
    image: np.ndarray,
    detection: Detection,
    *,
    device: str,
    camera: str,
    captured: datetime,
    detector: str,
) -> bytes:
    """The face and a margin, cut out of `image` ((height, width, 3), uint8, BGR), as a gray JPEG.

    A close-up is made smaller, and its box stays that in the frame. `captured` has a time zone.
    """
    margin_x, margin_y = round(_MARGIN * detection.width), round(_MARGIN * detection.height)
    crop = image[
        max(0, detection.y - margin_y) : detection.y + detection.height + margin_y,
        max(0, detection.x - margin_x) : detection.x + detection.width + margin_x,
    ]
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    if (scale := _LONGEST / max(gray.shape)) < 1:
        width, height = (max(1, round(side * scale)) for side in gray.shape[::-1])
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    exif = _exif(detection, device, camera, captured.astimezone(UTC), detector)
    segment = bytes((0xFF, APP1)) + (len(exif) + 2).to_bytes(2, "big") + exif
    # Pillow would have to encode the picture again to write its EXIF.
    return _START_OF_IMAGE + segment + encoded.tobytes()[len(_START_OF_IMAGE) :]


def read_face(jpeg: bytes) -> FaceInfo:
    """What the EXIF of `jpeg` says. Raises VisionError where it is not a JPEG."""
    if size(jpeg) is None:
        raise VisionError("This is not a JPEG.")
    found = (content for marker, content in segments(jpeg) if marker == APP1)
    written = next((content for content in found if content.startswith(_EXIF)), b"")
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
        )
    except Exception:  # Anybody's EXIF may break the parser in any way, and then says nothing.
        return FaceInfo()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _exif(
    detection: Detection, device: str, camera: str, captured: datetime, detector: str
) -> bytes:
    comment = {
        "box": (detection.x, detection.y, detection.width, detection.height),
        "score": detection.score,
    }
    exif = Image.Exif()
    exif[Base.Make] = _MAKE
    exif[Base.Model] = camera
    exif[Base.HostComputer] = device
    exif[Base.Software] = detector
    exif[Base.ExifOffset] = {
        Base.DateTimeOriginal: captured.strftime(_TIME),
        Base.SubsecTimeOriginal: f"{captured:%f}",
        Base.OffsetTimeOriginal: "+00:00",
        Base.UserComment: _ASCII + json.dumps(comment, separators=(",", ":")).encode(),
    }
    return exif.tobytes()
