"""One picture from a file that anybody may have put there."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from facefleet.vision.errors import PictureError

LARGEST = 7680 * 4320  # pixels of a frame; whatever looks at it needs some ten bytes for each
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# Only a JPEG is decoded at a half, a quarter or an eighth without being decoded in full.
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# Sizes are judged here, and before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


def read_picture(path: Path) -> np.ndarray:
    """The picture in a file, upright: (height, width, 3), uint8, BGR, of at most LARGEST pixels.

    Raises PictureError that says why there is none.
    """
    try:
        # A named pipe would wait for its other end.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PictureError(f"it cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise PictureError("it is not a regular file")
    with os.fdopen(handle, "rb") as file:
        flags = _flags(file)
        try:
            # By its handle: OpenCV ends the process over a name that is not UTF-8.
            image = cv2.imread(f"/proc/self/fd/{handle}", flags)
        except (cv2.error, MemoryError) as error:
            raise PictureError("it cannot be decoded in the memory allowed") from error
    if image is None:
        raise PictureError("it cannot be decoded: it is damaged, or of an unusual kind")
    return bounded(image)


def _flags(file: BinaryIO) -> int:
    """How to decode it, by the size that its header states."""
    try:
        with Image.open(file, formats=_FORMATS) as header:
            width, height = header.size
            jpeg = header.format in ("JPEG", "MPO")
    except UnidentifiedImageError as error:
        raise PictureError("it is not a picture: use JPEG or PNG") from error
    except Exception as error:  # a parser of headers may break over a bad one in any way
        raise PictureError("its header cannot be read") from error
    for reduction in _REDUCED if jpeg else (1,):
        if width * height <= LARGEST * reduction**2:
            return _REDUCED[reduction]
    raise PictureError(f"{width} x {height} pixels are too many: make it smaller")


def bounded(image: np.ndarray) -> np.ndarray:
    """The image, made smaller where it has more than LARGEST pixels."""
    height, width = image.shape[:2]
    if height * width <= LARGEST:
        return image
    scale = (LARGEST / (height * width)) ** 0.5
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
