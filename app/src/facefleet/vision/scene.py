"""Learn the scene before a camera, and notice when the camera shows another one.

Scenes are compared by the places of their edges, as light changes brightness but moves no edge.
"""

import math

import cv2
import numpy as np

EVERY = 10.0  # seconds between comparisons
LEARNING = 180.0  # seconds of good views from which the usual scene is learned
STRANGE = 900.0  # seconds until a scene without likeness counts as another view

_FADING = 30.0  # seconds over which frames are averaged, so that passers-by vanish
_DAY = 86_400.0  # seconds over which the usual scene follows the light and the furniture
_STEADY = 0.7  # likeness of a scene to itself, a comparison earlier
_LIKE = 0.5  # likeness to the usual scene, at its place or at the one to which it has moved
_UNLIKE = 0.35  # likeness at its place below which it is another scene
_BETTER = 0.2  # by which the likeness at another place exceeds the likeness at its own
_MOVED = 4  # pixels of 160; less is a loose mount in the wind
_CONTRAST = 4.0  # gray levels of an edge that counts half


class Scene:
    """The usual scene of one camera, and the present one."""

    def __init__(self) -> None:
        self._average: np.ndarray | None = None
        self._usual: np.ndarray | None = None  # as edges
        self._last: np.ndarray | None = None  # the edges of the last comparison
        self._at = 0.0  # the last frame
        self._due = 0.0  # the next comparison
        self._seconds = 0.0  # of frames so far
        self._strange = 0.0  # seconds for which the scene has had no likeness
        self._shifted: bool | None = None

    def is_shifted(self, small: np.ndarray, now: float) -> bool | None:
        """Add a frame, gray, float32. Return None until the usual scene is known.

        Only frames of a good view may be given: what covers the lens is no scene.
        """
        if self._average is None:
            self._average, self._at, self._due = small, now, now + EVERY
            return None
        seconds = min(now - self._at, EVERY)
        self._at = now
        self._seconds += seconds
        self._average += (small - self._average) * (1 - math.exp(-seconds / _FADING))
        if now >= self._due:
            self._due = now + EVERY
            self._compare(_edges(self._average))
        return self._shifted

    def _compare(self, edges: np.ndarray) -> None:
        last, self._last = self._last, edges
        steady = last is not None and _likeness(edges, last)[0] >= _STEADY
        if self._usual is None:
            if steady and self._seconds >= LEARNING:
                self._usual = edges
                self._shifted = False
            return
        here, best, distance = _likeness(edges, self._usual)
        if here >= _UNLIKE:
            self._strange = 0.0
        elif steady:
            self._strange += EVERY
        moved = best >= _LIKE and best >= here + _BETTER and distance >= _MOVED
        self._shifted = moved or self._strange >= STRANGE
        if here >= _LIKE and not moved:
            self._usual = self._usual + (edges - self._usual) * (EVERY / _DAY)


def details(gray: np.ndarray) -> np.ndarray:
    """Return by how much each pixel differs from its surroundings."""
    return cv2.GaussianBlur(gray, (0, 0), 1) - cv2.GaussianBlur(gray, (0, 0), 4)


def _edges(gray: np.ndarray) -> np.ndarray:
    """Return how much of an edge each pixel is, from 0 to 1, whatever the light."""
    strength = np.abs(details(gray))
    return strength / (strength + _CONTRAST)


def _likeness(edges: np.ndarray, usual: np.ndarray) -> tuple[float, float, float]:
    """Correlate two scenes: 1 if they are the same.

    Return the likeness at its place (or a pixel beside it), the best likeness at any place, and how
    many pixels away that is.
    """
    height, width = edges.shape
    found = np.fft.irfft2(_spectrum(edges) * np.conj(_spectrum(usual)), s=(height, width))
    here = max(found[y, x] for y in (-1, 0, 1) for x in (-1, 0, 1))
    y, x = np.unravel_index(found.argmax(), found.shape)
    distance = math.hypot(min(y, height - y), min(x, width - x))
    return float(here), float(found[y, x]), distance


def _spectrum(edges: np.ndarray) -> np.ndarray:
    height, width = edges.shape
    fade = cv2.createHanningWindow((width, height), cv2.CV_32F)  # else the borders would match
    faded = (edges - edges.mean()) * fade
    faded -= faded.mean()
    return np.fft.rfft2(faded) / max(1e-6, float(np.sqrt((faded**2).sum())))
