"""Crop a face from a frame as a small gray JPEG."""

from datetime import UTC, datetime

import cv2
import numpy as np

from facefleet.exif import FaceInfo, write_exif
from facefleet.vision.detectors import Detection

_MARGIN = 0.2  # of the box, on each side
_QUALITY = 90
_LONGEST = 800  # pixels of a crop's longer side; even noise then fits into a processor's limit


def encode_face(
    image: np.ndarray,
    detection: Detection,
    *,
    device: str,
    camera: str,
    captured: datetime,
    detector: str,
) -> bytes:
    """Crop the face with a margin from `image` ((height, width, 3), uint8, BGR) as a gray JPEG.

    A large crop is scaled down, but the box in the EXIF refers to the frame. `captured` must have a
    time zone.
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
    info = FaceInfo(
        device=device,
        camera=camera,
        captured=captured.astimezone(UTC),
        box=(detection.x, detection.y, detection.width, detection.height),
        score=detection.score,
        detector=detector,
    )
    return write_exif(encoded.tobytes(), info)
