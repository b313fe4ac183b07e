"""Read an image from an untrusted file."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from facefleet.vision.errors import PictureError

MAX_PIXELS = 7680 * 4320  # of a frame; detectors need some ten bytes per pixel
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# Only JPEGs can be decoded at reduced size without decoding them in full.
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# This module checks sizes itself, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None


def read_picture(path: Path) -> np.ndarray:
    """Read an image, upright: (height, width, 3), uint8, BGR, with at most MAX_PIXELS pixels.

    Raises PictureError with the reason if the file is not a usable image.
    """
    try:
        # O_NONBLOCK, as opening a named pipe would wait for its other end.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PictureError(f"it cannot be opened ({error.strerror})") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise PictureError("it is not a regular file")
    with os.fdopen(handle, "rb") as file:
        flags = _flags(file)
        try:
            # By descriptor: OpenCV terminates the process if a name is not UTF-8.
            image = cv2.imread(f"/proc/self/fd/{handle}", flags)
        except (cv2.error, MemoryError) as error:
            raise PictureError("it cannot be decoded in the memory allowed") from error
    if image is None:
        raise PictureError("it cannot be decoded: it is damaged, or its format is not supported")
    return bounded(image)


def _flags(file: BinaryIO) -> int:
    """Choose the flags for decoding by the size in the header. Raises PictureError."""
    try:
        with Image.open(file, formats=_FORMATS) as header:
            width, height = header.size
            jpeg = header.format in ("JPEG", "MPO")
    except UnidentifiedImageError as error:
        raise PictureError("it is not an image: use JPEG or PNG") from error
    except Exception as error:  # a corrupt header may break Pillow in any way
        raise PictureError("its header cannot be read") from error
    for reduction in _REDUCED if jpeg else (1,):
        if width * height <= MAX_PIXELS * reduction**2:
            return _REDUCED[reduction]
    raise PictureError(f"{width} x {height} pixels are too many: scale it down")


def bounded(image: np.ndarray) -> np.ndarray:
    """Return the image, scaled down if it has more than MAX_PIXELS pixels."""
    height, width = image.shape[:2]
    if height * width <= MAX_PIXELS:
        return image
    scale = (MAX_PIXELS / (height * width)) ** 0.5
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
