"""A camera with a maximum frame rate that is reopened after every failure."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from facefleet.schedule import Schedule
from facefleet.views import OFF
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.feed import Feed
from facefleet.vision.options import DEFAULT, Options

_FIRST_WAIT = 0.5  # seconds
_LONGEST_WAIT = 30.0
_OFF_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Frame:
    """An image and its capture time. The image is valid until the next frame is requested."""

    image: np.ndarray  # (height, width, 3), uint8, BGR, read-only
    captured: datetime  # UTC
    cut: bool  # it does not continue the frame before: a recording starts over, or is of pictures
    live: bool  # it is from a camera, and not from a recording, a folder or the sample


class Camera:
    """Iterates over the frames of a source, at most `fps` per second, until `stop` is set.

    `source` and `options` are what `sources.open_source` accepts. `on_state` is called with a
    sentence on each failure, and with None on the first good frame at the start and after a
    failure. A source that ends is opened again: a recording starts over, and a URL that returns a
    single image is requested again. Outside of the `schedule`, the source is closed, and `on_state`
    is called with OFF every second.
    """

    def __init__(
        self,
        source: str,
        fps: float,
        on_state: Callable[[str | None], None],
        stop: threading.Event,
        options: Options = DEFAULT,
        schedule: Schedule | None = None,
    ) -> None:
        self._feed = Feed(source, options)
        self._period = 1 / fps
        self._on_state = on_state
        self._stop = stop
        self._schedule = schedule

    def __iter__(self) -> Iterator[Frame]:
        good = False
        wait = _FIRST_WAIT
        due = time.monotonic()
        try:
            while not self._stop.wait(due - time.monotonic()):
                if self._schedule and not self._schedule.active(datetime.now(UTC)):
                    self._feed.close()
                    good, wait = False, _FIRST_WAIT
                    self._on_state(OFF)
                    due = time.monotonic() + _OFF_WAIT
                    continue
                try:
                    image = self._feed.next(self._stop)
                except CameraEndedError:
                    continue
                except CameraError as error:
                    good = False
                    self._on_state(str(error))
                    due = time.monotonic() + wait
                    wait = min(2 * wait, _LONGEST_WAIT)
                    continue
                if image is None:
                    return
                due = max(due + self._period, time.monotonic())
                if not good:
                    self._on_state(None)
                good, wait = True, _FIRST_WAIT
                yield Frame(image, datetime.now(UTC), self._feed.cut, self._feed.live)
        finally:
            self._feed.close()

    @property
    def broken(self) -> int:
        """Number of packets and frames so far that could not be decoded."""
        return self._feed.broken
