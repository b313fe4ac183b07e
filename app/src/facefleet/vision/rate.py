"""How many frames a second are looked at, against what was asked for."""

import threading
from collections import deque

_SPAN = 10.0  # seconds that are looked back
_FRAMES = 5  # that are looked back at least, where few are asked for
_LOW, _FAIR = 0.6, 0.8  # of what was asked for: below it is slow, and from here on no longer
_BUSY = 0.7  # of the time: beyond, what looks at frames is the bottleneck, and else the camera


class FrameRate:
    """Told of every frame. Safe to read from other threads; times are monotonic seconds."""

    def __init__(self, wanted: float, now: float) -> None:
        self.wanted = wanted
        self._span = max(_SPAN, _FRAMES / wanted)
        self._began = now
        self._frames: deque[tuple[float, float]] = deque()  # when it was done, and the work's time
        self._slow = False
        self._lock = threading.Lock()

    def looked(self, began: float, now: float) -> None:
        """A frame came at `began`, and all that was to do with it was done `now`."""
        with self._lock:
            self._frames.append((now, now - began))

    def restarted(self, now: float) -> None:
        """The camera was away until now, which says nothing of the rate."""
        with self._lock:
            self._frames.clear()
            self._began = now

    def reached(self, now: float) -> float | None:
        """Frames a second; None until there has been the time to tell."""
        with self._lock:
            while self._frames and self._frames[0][0] < now - self._span:
                self._frames.popleft()
            span = now - self._began
            if span < self._span:
                return None
            return round(len(self._frames) / self._span, 2)

    def change(self, now: float) -> tuple[bool, str] | None:
        """Whether it is slow, and a sentence, each time that this has changed."""
        reached = self.reached(now)
        if reached is None:
            return None
        share = reached / self.wanted
        if share >= (_FAIR if self._slow else _LOW):
            slow, sentence = False, f"{reached:g} of {self.wanted:g} frames a second are looked at"
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
        said = f"only {reached:g} of {self.wanted:g} frames a second are looked at: "
        if work < _BUSY * self._span:
            return said + "the camera sends no more; set fps to what it sends"
        return said + (
            f"each takes {each:.2f} s; lower fps, raise min_face, use a YuNet "
            "model, or have the camera send smaller pictures"
        )
