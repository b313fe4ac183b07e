"""The face detectors: YuNet, whose model is part of this package, and OpenCV's Haar cascade."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from facefleet.vision.boxes import Box
from facefleet.vision.errors import VisionError

# On the sample, alt2 found as many faces as the default cascade, without false positives.
# Histogram equalization lost faces, and smaller steps doubled the time without finding more.
_CASCADES = cv2.data.haarcascades if hasattr(cv2, "data") else "/usr/share/opencv4/haarcascades"
_HAAR = Path(_CASCADES) / "haarcascade_frontalface_alt2.xml"
_HAAR_STEP = 1.2
_HAAR_NEIGHBOURS = 3
_HAAR_WINDOW = 20  # pixels of the smallest face that the cascade can detect
_HAAR_PIXELS = 9_000_000  # maximum to search, which bounds the memory (30 bytes per pixel)

_YUNET = files("facefleet.vision").joinpath("models", "face_detection_yunet_2023mar.onnx")
_YUNET_SCORE = 0.7  # 0.8 missed a tenth of small photographs of a face, 0.9 two thirds
_YUNET_FACE = 30  # pixels; YuNet found every face of this height, but fewer below 24
_YUNET_PIXELS = 5_000_000  # maximum to search, which bounds the memory (75 bytes per pixel)


Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Detection:
    """A face's box in pixels, inside the image. Scores of different detectors do not compare."""

    x: int
    y: int
    width: int
    height: int
    score: float
    landmarks: tuple[Point, ...] | None = None
    """Eyes, nose and corners of the mouth, from the left in the image; None for a Haar cascade."""

    @property
    def box(self) -> Box:
        return self.x, self.y, self.width, self.height


class Detector(Protocol):
    """Detects faces. Not thread-safe."""

    name: str

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Return the faces in `image`: (height, width, 3), uint8, BGR."""


def load_detector(name: str, min_face: int, model: Path | None = None) -> Detector:
    """Return the detector `name` ("yunet" or "haar") for faces from `min_face` pixels.

    `model` is an ONNX file to use instead of YuNet's own. Raises VisionError if it cannot be read.
    """
    # A second thread would cost up to 50% more CPU, which other services need.
    cv2.setNumThreads(1)
    return Haar(min_face) if name == Haar.name else YuNet(min_face, model)


class Haar:
    """A Haar cascade; the score is the weight of its last stage, about 55 to 58."""

    name = "haar"

    def __init__(self, min_face: int) -> None:
        self._cascade = cv2.CascadeClassifier(str(_HAAR))
        self._min_face = min_face

    def __call__(self, image: np.ndarray) -> list[Detection]:
        # The larger the minimum face, the more the cascade shrinks the image to save memory.
        height, width = image.shape[:2]
        least = max(self._min_face, round(_HAAR_WINDOW * (height * width / _HAAR_PIXELS) ** 0.5))
        boxes, _, weights = self._cascade.detectMultiScale3(
            cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
            scaleFactor=_HAAR_STEP,
            minNeighbors=_HAAR_NEIGHBOURS,
            minSize=(least, least),
            outputRejectLevels=True,  # needed to get the weights
        )
        return [
            Detection(*map(int, box), score=round(float(weight), 2))
            for box, weight in zip(boxes, weights, strict=True)
        ]


class YuNet:
    """The YuNet network; the score is its confidence, 0.7 to 1."""

    name = "yunet"

    def __init__(self, min_face: int, model: Path | None = None) -> None:
        self._min_face = min_face
        # Time is proportional to the number of pixels, and no face is missed at this scale.
        self._scale = min(1.0, _YUNET_FACE / min_face)
        self._input_size = (64, 64)
        try:
            content = (model or _YUNET).read_bytes()
        except OSError as error:
            raise VisionError(
                f"There is no model at {model}: give the path of a YuNet ONNX file."
            ) from error
        try:
            self._net = cv2.FaceDetectorYN.create(
                "onnx",
                np.frombuffer(content, np.uint8),
                np.empty(0, np.uint8),
                self._input_size,
                _YUNET_SCORE,
            )
            # Other networks load without an error, but fail when used.
            self._net.detect(np.zeros((64, 64, 3), np.uint8))
        except cv2.error as error:
            raise VisionError(
                f"{model} is not a YuNet model: remove FACEFLEET_MODEL to use the one of this "
                "package."
            ) from error

    def __call__(self, image: np.ndarray) -> list[Detection]:
        height, width = image.shape[:2]
        scale = min(self._scale, (_YUNET_PIXELS / (width * height)) ** 0.5)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if size != (width, height):
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if size != self._input_size:
            self._net.setInputSize(size)
            self._input_size = size
        _, faces = self._net.detect(image)
        if faces is None:
            return []
        # For images of a few pixels, the output may not be finite.
        finite = faces[np.isfinite(faces).all(axis=1)]
        found = (_detection(face, scale, width, height) for face in finite)
        return [
            face
            for face in found
            if min(face.width, face.height) > 0 and max(face.width, face.height) >= self._min_face
        ]


def _detection(face: np.ndarray, scale: float, width: int, height: int) -> Detection:
    """Convert a row of 15 numbers: the box, five landmarks, and the score."""
    x, y, box_width, box_height = face[:4] / scale
    left, right = (round(float(side)) for side in np.clip((x, x + box_width), 0, width))
    top, bottom = (round(float(side)) for side in np.clip((y, y + box_height), 0, height))
    points = [round(float(place)) for place in face[4:14] / scale]
    return Detection(
        *(left, top, right - left, bottom - top),
        score=round(float(face[14]), 3),
        landmarks=tuple(zip(points[::2], points[1::2], strict=True)),
    )
