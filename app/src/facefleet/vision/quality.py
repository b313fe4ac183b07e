"""How good a picture of a face is, from 0 to 1: sharp, frontal, large, well lit, and whole."""

import math

import cv2
import numpy as np

from facefleet.vision.detectors import Detection, Point

_SIDE = 64  # pixels to which a face is scaled, so that sharpness does not depend on its size
_SMOOTHING = 1.0  # standard deviation of the filter that removes the noise of the sensor
_SHARP = 0.035  # share of edges in a sharp face; blurred by 3 of 160 pixels, it has half of that
_HEIGHT = 120  # pixels of a face that is large enough
_DARK, _BRIGHT = 50, 205  # mean gray levels; beyond them, a face is too dark or too bright
_TURNED = 0.6  # how far the nose is off the middle, in distances of the eyes, of a profile
_CUT_OFF = 0.3


def quality(image: np.ndarray, face: Detection) -> float:
    """Rate the face in `image`: (height, width, 3), uint8, BGR. 0 for a box without content."""
    box = image[face.y : face.y + face.height, face.x : face.x + face.width]
    if not box.size:
        return 0.0
    gray = cv2.cvtColor(box, cv2.COLOR_BGR2GRAY)
    height, width = image.shape[:2]
    cut_off = (
        min(face.x, face.y) <= 0 or face.x + face.width >= width or face.y + face.height >= height
    )
    terms = (
        _sharpness(gray),
        _exposure(cv2.mean(gray)[0]),
        _frontal(face.landmarks),
        min(1.0, face.height / _HEIGHT) ** 0.5,
        _CUT_OFF if cut_off else 1.0,
    )
    return round(math.prod(terms), 3)


def _sharpness(gray: np.ndarray) -> float:
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    contrast = _variance(small)
    if contrast < 1:
        return 0.0
    edges = cv2.Laplacian(cv2.GaussianBlur(small, (0, 0), _SMOOTHING), cv2.CV_32F)
    return min(1.0, _variance(edges) / contrast / _SHARP)


def _variance(image: np.ndarray) -> float:
    _, deviation = cv2.meanStdDev(image)  # several times as fast as NumPy
    return float(deviation[0, 0]) ** 2


def _exposure(mean: float) -> float:
    return min(1.0, mean / _DARK, (255 - mean) / (255 - _BRIGHT))


def _frontal(landmarks: tuple[Point, ...] | None) -> float:
    """Rate the place of the nose between the eyes; 1 without landmarks, as Haar finds no other."""
    if landmarks is None:
        return 1.0
    (x, y), (x2, y2), (nose_x, nose_y) = landmarks[:3]
    squared = (x2 - x) ** 2 + (y2 - y) ** 2
    if not squared:
        return 0.0
    along = (nose_x - (x + x2) / 2) * (x2 - x) + (nose_y - (y + y2) / 2) * (y2 - y)
    return max(0.0, 1 - abs(along) / squared / _TURNED)
