"""Crop a face from a frame, and encode it as a small JPEG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import cv2
import numpy as np

from facefleet.exif import FaceInfo, write_exif
from facefleet.vision.boxes import centre
from facefleet.vision.detectors import Detection
from facefleet.vision.quality import quality

_MARGIN = 0.2  # of the box, on each side
LARGEST = 800  # pixels of a crop's longer side, at most
BEST_QUALITY = 95  # of a JPEG; even noise of the largest size then fits into a processor's limit
WORST_QUALITY = 30


@dataclass(frozen=True, slots=True)
class Encoding:
    """How faces are stored. The defaults are those of the detector."""

    color: bool = False
    longest: int = 800  # pixels of a crop's longer side, at most LARGEST
    quality: int = 90  # of the JPEG, at most BEST_QUALITY
    faces_only: bool = False  # nothing around the face, and no part of another one
    most_bytes: int = 1 << 20  # of the JPEG, at least 16 KiB


DEFAULT = Encoding()


@dataclass(frozen=True, slots=True)
class Face:
    """A face cut out of a frame."""

    crop: np.ndarray
    detection: Detection
    quality: float  # 0 to 1
    captured: datetime  # UTC
    encoding: Encoding

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
        return encode_face(self.crop, info, self.encoding)


def cut_face(
    image: np.ndarray,
    detection: Detection,
    captured: datetime,
    encoding: Encoding = DEFAULT,
    faces: Sequence[Detection] = (),
) -> Face:
    """Crop and rate a face of a frame, ((height, width, 3), uint8, BGR), in which `faces` are."""
    crop = crop_face(image, detection, encoding, faces)
    return Face(crop, detection, quality(image, detection), captured, encoding)


def crop_face(
    image: np.ndarray,
    face: Detection,
    encoding: Encoding = DEFAULT,
    faces: Sequence[Detection] = (),
) -> np.ndarray:
    """Crop the face with a margin from `image` ((height, width, 3), uint8, BGR).

    With `faces_only`, there is no margin, and what belongs to another of `faces` is black. The crop
    has the same shape, or (height, width) in gray. A large one is scaled down. It shares
    no memory with the image.
    """
    margin = 0 if encoding.faces_only else _MARGIN
    margin_x, margin_y = round(margin * face.width), round(margin * face.height)
    crop = image[
        max(0, face.y - margin_y) : face.y + face.height + margin_y,
        max(0, face.x - margin_x) : face.x + face.width + margin_x,
    ]
    crop = crop.copy() if encoding.color else cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    if encoding.faces_only:
        for other in faces:
            if other != face:
                _blank(crop, face, other)
    height, width = crop.shape[:2]
    if (scale := encoding.longest / max(height, width)) < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return crop


def _blank(crop: np.ndarray, face: Detection, other: Detection) -> None:
    """Black out what is inside of both boxes, and nearer to the other one's centre by its size."""
    top, left = max(face.y, other.y), max(face.x, other.x)
    bottom = min(face.y + face.height, other.y + other.height)
    right = min(face.x + face.width, other.x + other.width)
    if top >= bottom or left >= right:
        return
    y, x = np.mgrid[top:bottom, left:right] + 0.5

    def distance(of: Detection) -> np.ndarray:
        across, down = centre(of.box)
        return ((x - across) / of.width) ** 2 + ((y - down) / of.height) ** 2

    both = crop[top - face.y : bottom - face.y, left - face.x : right - face.x]
    both[distance(other) <= distance(face)] = 0


def encode_face(crop: np.ndarray, info: FaceInfo, encoding: Encoding = DEFAULT) -> bytes:
    """Encode a crop as a JPEG with `info`, whose box and landmarks refer to the frame.

    To stay within the encoding's `most_bytes`, it gets a lower quality, and then fewer pixels.
    """
    quality = encoding.quality
    while len(jpeg := write_exif(_jpeg(crop, quality), info)) > encoding.most_bytes:
        if quality > WORST_QUALITY:
            quality = max(WORST_QUALITY, quality - 15)
        else:
            crop = cv2.resize(crop, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    return jpeg


def _jpeg(crop: np.ndarray, quality: int) -> bytes:
    # Color has half of the resolution: in full, noise would have twice as many bytes.
    options = (
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
    )
    _, encoded = cv2.imencode(".jpg", crop, options)
    return encoded.tobytes()
