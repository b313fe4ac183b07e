"""Judge a camera's view: whether it is dark, frozen, covered, shifted or blurred.

The time is passed in, in monotonic seconds. Nearly all is judged by a small gray picture, which has
little noise. Where the rules are in doubt, the view is good: a false alarm at every sunset would
teach people to ignore alarms.
"""

import math

import cv2
import numpy as np

from facefleet.views import View
from facefleet.vision.scene import Scene, details

EVERY = 1.0  # seconds between looks
SIZE = (160, 90)  # pixels of the small picture: width, height
ONSET = {  # seconds for which a view has to be bad before it is said to be
    View.DARK: 10.0,
    View.FROZEN: 60.0,  # a thrifty camera sends a quiet scene unchanged for some seconds
    View.COVERED: 30.0,  # somebody may pass very near
    View.SHIFTED: 120.0,
    View.BLURRED: 300.0,  # somebody may stand very near
}
RECOVERY = 5.0  # seconds for which a view has to be good again
LEARNING = 180.0  # seconds of good views from which the usual sharpness is learned

# Gray level of the brightest parts: dark below the first, until above the second. YuNet finds the
# faces of the sample down to 13.
_BLACK = (12, 18)
_LIT = 64  # gray level of the brightest parts; below, noise passes for sharpness
_PLAIN = (0.005, 0.01)  # share of the picture with edges: likewise
_EDGE = 3.0  # gray levels by which an edge differs from its surroundings, and noise does not
_UNSHARP = (0.25, 0.4)  # share of the usual sharpness: likewise
_ROWS = 8  # every which row is compared to find a frozen picture
_DAY = 86_400.0  # seconds over which the usual sharpness is averaged


class ViewJudge:
    """Judges the frames of a live camera. Each look takes milliseconds."""

    def __init__(self) -> None:
        self.view = View.GOOD
        self._faults = {view: _Lasting(onset) for view, onset in ONSET.items()}
        self._due = -math.inf
        self._rows: np.ndarray | None = None
        self._scene = Scene()
        self._sharpness = _Usual()

    def look(self, image: np.ndarray, now: float) -> bool:
        """Judge a frame: (height, width, 3), uint8, BGR. Return whether `view` has changed.

        Frames within a second of the last one that was judged are passed over.
        """
        if now < self._due:
            return False
        self._due = now + EVERY
        found = self._judge(image, now)
        for view, fault in self._faults.items():
            fault.update(found.get(view), now)
        before = self.view
        self.view = next((view for view in View if self._is(view)), View.GOOD)
        return self.view != before

    def restarted(self) -> None:
        """Start over with the durations: the camera has sent no frames for a while."""
        self._rows = None
        for fault in self._faults.values():
            fault.restarted()

    def _is(self, view: View) -> bool:
        return view in self._faults and self._faults[view].on

    def _judge(self, image: np.ndarray, now: float) -> dict[View, bool]:
        """Return for each fault whether this frame has it; without those that it cannot tell."""
        small = _small(image)
        bright = float(np.percentile(small, 98))
        edges = float((np.abs(details(small)) > _EDGE).mean())
        found = {
            View.DARK: bright < _BLACK[self._is(View.DARK)],
            View.FROZEN: self._is_same(image),
            View.COVERED: edges < _PLAIN[self._is(View.COVERED)],
        }
        if any(found.values()):
            return found
        if (shifted := self._scene.is_shifted(small, now)) is not None:
            found[View.SHIFTED] = shifted
        if bright >= _LIT:
            sharpness = _sharpness(small)
            if (share := self._sharpness.share(sharpness)) is not None:
                found[View.BLURRED] = share < _UNSHARP[self._is(View.BLURRED)]
            if not found.get(View.BLURRED):
                self._sharpness.learn(sharpness, now)
        return found

    def _is_same(self, image: np.ndarray) -> bool:
        """Return whether the frame is exactly the last one: the noise of a sensor never repeats."""
        before, self._rows = self._rows, image[::_ROWS].copy()
        return before is not None and np.array_equal(before, self._rows)


class _Lasting:
    """A condition that has to last before it counts, and to be absent before it no longer does."""

    def __init__(self, onset: float) -> None:
        self.on = False
        self._onset = onset
        self._since: float | None = None  # of the opposite

    def update(self, found: bool | None, now: float) -> None:
        if found is None or found == self.on:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= (RECOVERY if self.on else self._onset):
            self.on, self._since = found, None

    def restarted(self) -> None:
        self._since = None


class _Usual:
    """The average of a value over up to a day of looks."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._learned = 0.0  # seconds
        self._at: float | None = None

    def learn(self, value: float, now: float) -> None:
        seconds = EVERY if self._at is None else min(now - self._at, LEARNING / 10)
        self._at = now
        self._learned = min(self._learned + seconds, _DAY)
        self._mean += (value - self._mean) * seconds / self._learned

    def share(self, value: float) -> float | None:
        """Return the value as a share of the usual one, or None until that is known."""
        return value / self._mean if self._learned >= LEARNING and self._mean else None


def _small(image: np.ndarray) -> np.ndarray:
    """Return the frame as gray, float32, of SIZE. Averaging pixels removes most of the noise."""
    thinned = image[:: max(1, image.shape[0] // 720), :: max(1, image.shape[1] // 1280)]
    small = cv2.resize(np.ascontiguousarray(thinned), SIZE, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)


def _sharpness(small: np.ndarray) -> float:
    """Return the share of fine edges in the picture's contrast."""
    fine = cv2.Laplacian(cv2.GaussianBlur(small, (0, 0), 1), cv2.CV_32F)
    return float(fine.var()) / (float(small.var()) + 1)
