"""Measure the frame rate and compare it with the configured one."""

import threading
from collections import deque

_SPAN = 10.0  # seconds over which the rate is measured
_FRAMES = 5  # minimum number of frames to measure, if the configured rate is low
_LOW, _FAIR = 0.6, 0.8  # shares of the configured rate: slow below _LOW, recovered from _FAIR on
_BUSY = 0.7  # share of the time spent on detection above which it, not the camera, is too slow


class FrameRate:
    """The rate of processed frames. Other threads may read it. Times are monotonic seconds."""

    def __init__(self, wanted: float, now: float) -> None:
        self.wanted = wanted
        self._span = max(_SPAN, _FRAMES / wanted)
        self._began = now
        self._frames: deque[tuple[float, float]] = deque()  # (end, duration) of the processing
        self._slow = False
        self._lock = threading.Lock()

    def looked(self, began: float, now: float) -> None:
        """Record a frame whose processing took from `began` until `now`."""
        with self._lock:
            self._frames.append((now, now - began))

    def restarted(self, now: float) -> None:
        """Start over, as the camera was unavailable until now."""
        with self._lock:
            self._frames.clear()
            self._began = now

    def reached(self, now: float) -> float | None:
        """Return frames per second, or None until enough time has passed."""
        with self._lock:
            while self._frames and self._frames[0][0] < now - self._span:
                self._frames.popleft()
            span = now - self._began
            if span < self._span:
                return None
            return round(len(self._frames) / self._span, 2)

    def change(self, now: float) -> tuple[bool, str] | None:
        """Return whether the rate is too low, with a sentence; None unless that has changed."""
        reached = self.reached(now)
        if reached is None:
            return None
        share = reached / self.wanted
        if share >= (_FAIR if self._slow else _LOW):
            slow, sentence = False, f"{reached:g} of {self.wanted:g} frames per second"
        else:
            slow, sentence = True, self._complaint(reached)
        if slow == self._slow:
            return None
        self._slow = slow
        return slow, sentence

    def _complaint(self, reached: float) -> str:
        with self._lock:
            work = sum(seconds for _, seconds in self._frames)
            each = work / max(1, len(self._frames))
        finding = f"only {reached:g} of {self.wanted:g} frames per second: "
        if work < _BUSY * self._span:
            return finding + "the camera sends no more; set fps to the rate of the camera"
        return finding + (
            f"detection takes {each:.2f} s per frame; lower fps, raise min_face, or "
            "lower the camera's resolution"
        )
