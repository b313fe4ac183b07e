"""How the camera is: its stream, view and frame rate, for status, health, metrics and coverage."""

import time

from prometheus_client import Gauge

from facefleet.delivery.coverage import Meter
from facefleet.health import Health
from facefleet.logging import log
from facefleet.views import NO_STREAM, OFF, REMEDIES, SEEN, View
from facefleet.vision.camera import Frame
from facefleet.vision.rate import FrameRate
from facefleet.vision.view import ViewJudge

RATE = Gauge("facefleet_frame_rate_hertz", "Frames recently watched per second, searched or still")
VIEW = Gauge("facefleet_camera_view", "1 for what the camera's view is now", ["view"])


class Watch:
    """Follows a camera at `fps` frames a second. Other threads may call `status`.

    A bad view does not affect readiness: no restart uncovers a lens, and faces are still searched.
    """

    def __init__(self, fps: float, health: Health) -> None:
        self.coverage = Meter(fps, time.monotonic())
        self._health = health
        self._rate = FrameRate(fps, time.monotonic())
        self._judge = ViewJudge()
        self._problem: str | None = "The camera has not sent a frame yet."
        self._is_off = False
        RATE.set_function(lambda: self._rate.reached(time.monotonic()) or 0)
        self._show()

    def stream(self, state: str | None) -> None:
        """Take note that frames arrive (None), or do not: OFF, or a sentence that says why."""
        self._is_off = state == OFF
        self._problem = None if self._is_off else state
        self._health.set("camera", self._problem)
        self._judge.restarted()
        self._show()
        if state is None:
            self._rate.restarted(time.monotonic())

    def look(self, frame: Frame, now: float) -> None:
        """Judge the view. Times: monotonic seconds."""
        self.coverage.looked(now, time.time())
        if not frame.live or not self._judge.look(frame.image, now):
            return
        self._show()
        if self.fault:
            log.warning("bad view", view=self.fault, problem=REMEDIES[self.fault])
        else:
            log.info("good view again")

    def finished(self, began: float) -> None:
        """Take note that the work on a frame is done."""
        now = time.monotonic()
        self._rate.looked(began, now)
        if (change := self._rate.change(now)) is not None:
            slow, sentence = change
            (log.warning if slow else log.info)(sentence)

    @property
    def fault(self) -> View | None:
        """What is wrong with the view, or None."""
        view = self._judge.view
        return view if self._has_stream and view is not View.GOOD else None

    def status(self) -> dict[str, object]:
        return {
            "camera": self._problem or "ok",
            "view": self._word,
            "fps": self._rate.reached(time.monotonic()),
            "fps_wanted": self._rate.wanted,
        }

    @property
    def _word(self) -> str | None:
        return OFF if self._is_off else self.fault

    @property
    def _has_stream(self) -> bool:
        return self._problem is None and not self._is_off

    def _show(self) -> None:
        state = self._word or (SEEN if self._has_stream else NO_STREAM)
        self.coverage.change(state, time.monotonic(), time.time())
        for view in View:
            VIEW.labels(view).set(self._has_stream and view is self._judge.view)
