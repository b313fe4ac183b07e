"""Choose the frames that are searched for faces. The time is an argument.

A search is expensive, and most of the time nobody is there. So frames are searched while something
moves or a face is in view, and for a short time afterwards. Otherwise, one frame a second is
searched, in case a movement is too faint: so somebody who stays for a second is always seen.
"""

from typing import Protocol

import numpy as np

LINGER = 2.0  # seconds of search after the last movement or face; a visit ends within them
INTERVAL = 1.0  # seconds from one search to the next while nothing moves


class MotionDetector(Protocol):
    def moved(self, image: np.ndarray, now: float) -> bool:
        """Return whether something moves in `image`: (height, width, 3), uint8, BGR."""


class Attention:
    """Says which frames to search. Times are seconds of a clock that never jumps."""

    def __init__(self, motion: MotionDetector) -> None:
        self._motion = motion
        self._until: float | None = None
        self._searched: float | None = None

    def wants(self, image: np.ndarray, *, cut: bool, now: float) -> bool:
        """Return whether to search a frame. `cut`: it does not continue the frame before."""
        if cut or (self._is_ending(now) and self._motion.moved(image, now)):
            self._until = now + LINGER
        lingers = self._until is not None and now <= self._until
        due = self._searched is None or now - self._searched >= INTERVAL
        if not (lingers or due):
            return False
        self._searched = now
        return True

    def saw_face(self, now: float) -> None:
        """Note that the frame at `now` shows a face."""
        self._until = now + LINGER

    def _is_ending(self, now: float) -> bool:
        """Return whether movement matters: it does not while the search continues anyway."""
        return self._until is None or self._until - now < LINGER / 2
