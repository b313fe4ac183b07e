"""A camera that comes back: paced, reopened after every failure, always with a fresh frame."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.feed import Feed

_FIRST_WAIT = 0.5  # seconds
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and when it was taken. The picture is valid until the next frame is asked for."""

    image: np.ndarray  # (height, width, 3), uint8, BGR, read-only
    captured: datetime  # UTC


class Camera:
    """The frames of a source, until `stop` is set: iterate over it.

    `source` is what `sources.open_source` takes. No more than `fps` frames a second come. A
    failure calls `on_state` with a sentence, and the first good frame after it (and the very
    first) with None. What ends is opened again: a recording starts over, and an address that
    answers with one picture is asked for the next.
    """

    def __init__(
        self,
        source: str,
        fps: float,
        on_state: Callable[[str | None], None],
        stop: threading.Event,
    ) -> None:
        self._feed = Feed(source)
        self._period = 1 / fps
        self._on_state = on_state
        self._stop = stop

    def __iter__(self) -> Iterator[Frame]:
        good = False
        wait = _FIRST_WAIT
        due = time.monotonic()
        try:
            while not self._stop.wait(due - time.monotonic()):
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
                yield Frame(image, datetime.now(UTC))
        finally:
            self._feed.close()

    @property
    def broken(self) -> int:
        """Packets and frames so far that could not be decoded."""
        return self._feed.broken
