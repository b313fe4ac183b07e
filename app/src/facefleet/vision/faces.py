"""Crop a face from a frame, and encode it as a small gray JPEG."""

from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np

from facefleet.exif import FaceInfo, write_exif
from facefleet.vision.detectors import Detection
from facefleet.vision.quality import quality

_MARGIN = 0.2  # of the box, on each side
_QUALITY = 90
_LONGEST = 800  # pixels of a crop's longer side; even noise then fits into a processor's limit


@dataclass(frozen=True, slots=True)
class Face:
    """A face cut out of a frame."""

    crop: np.ndarray
    detection: Detection
    quality: float  # 0 to 1
    captured: datetime  # UTC

    def encode(
        self,
        device: str,
        camera: str,
        detector: str,
        visit: str | None = None,
        candidates: int | None = None,
    ) -> bytes:
        """Encode the face as a JPEG, whose EXIF says where it is from, and its place in a visit."""
        info = FaceInfo(
            device=device,
            camera=camera,
            captured=self.captured,
            box=self.detection.box,
            score=self.detection.score,
            detector=detector,
            landmarks=self.detection.landmarks,
            quality=self.quality,
            visit=visit,
            candidates=candidates,
        )
        return encode_face(self.crop, info)


def cut_face(image: np.ndarray, detection: Detection, captured: datetime) -> Face:
    """Crop and rate a face of a frame, ((height, width, 3), uint8, BGR)."""
    return Face(crop_face(image, detection), detection, quality(image, detection), captured)


def crop_face(image: np.ndarray, face: Detection) -> np.ndarray:
    """Crop the face with a margin from `image` ((height, width, 3), uint8, BGR), in gray.

    A large crop is scaled down. It shares no memory with the image.
    """
    margin_x, margin_y = round(_MARGIN * face.width), round(_MARGIN * face.height)
    crop = image[
        max(0, face.y - margin_y) : face.y + face.height + margin_y,
        max(0, face.x - margin_x) : face.x + face.width + margin_x,
    ]
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    if (scale := _LONGEST / max(gray.shape)) < 1:
        width, height = (max(1, round(side * scale)) for side in gray.shape[::-1])
        gray = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    return gray


def encode_face(crop: np.ndarray, info: FaceInfo) -> bytes:
    """Encode a crop as a JPEG with `info`, whose box and landmarks refer to the frame."""
    _, encoded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return write_exif(encoded.tobytes(), info)
