"""A camera that comes back: paced, reopened after every failure, always with a fresh frame."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.sources import open_source

_FIRST_WAIT = 0.5  # seconds
_LONGEST_WAIT = 30.0
_LOOK = 0.2  # seconds between looks at `stop` while a frame is awaited


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and when it was taken."""

    image: np.ndarray  # (height, width, 3), uint8, BGR
    captured: datetime  # UTC


class Camera:
    """The frames of a source, until `stop` is set: iterate over it.

    `source` is what `sources.open_source` takes. No more than `fps` frames a second come. A
    failure calls `on_state` with a sentence, and the first good frame after it (and the very
    first) with None. A recording that ends starts over.
    """

    def __init__(
        self,
        source: str,
        fps: float,
        on_state: Callable[[str | None], None],
        stop: threading.Event,
    ) -> None:
        self._source = source
        self._period = 1 / fps
        self._on_state = on_state
        self._stop = stop

    def __iter__(self) -> Iterator[Frame]:
        good = False
        wait = _FIRST_WAIT
        due = time.monotonic()
        while not self._stop.is_set():
            feed = _Feed(self._source)
            try:
                while not self._stop.wait(due - time.monotonic()):
                    frame = feed.next(self._stop)
                    if frame is None:
                        return
                    due = max(due + self._period, time.monotonic())
                    if not good:
                        self._on_state(None)
                    good, wait = True, _FIRST_WAIT
                    yield frame
            except CameraEndedError:
                continue
            except CameraError as error:
                good = False
                self._on_state(str(error))
                self._stop.wait(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            finally:
                feed.close()


class _Feed:
    """An open source, in a thread of its own.

    The thread is there so that a camera that blocks cannot keep its user from stopping; so that a
    live one never falls behind: who asks gets the next frame and not one from a queue, and what
    nobody waits for is not decoded; and so that a recording's next frame is read while its user
    still looks at the last.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._changed = threading.Condition()
        self._wanted = False
        self._answer: np.ndarray | Exception | None = None
        self._closed = False
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    def next(self, stop: threading.Event) -> Frame | None:
        """Wait for a frame; None when `stop` is set first. Raises what the source raises."""
        with self._changed:
            self._wanted = True
            while self._answer is None:
                if stop.is_set():
                    return None
                self._changed.wait(_LOOK)
            answer, self._answer = self._answer, None
            self._wanted = False
            self._changed.notify()
        if isinstance(answer, Exception):
            raise answer
        return Frame(answer, datetime.now(UTC))

    def close(self) -> None:
        """Let the thread close the source, at once or when it no longer blocks."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        try:
            with closing(open_source(self._source)) as source:
                while not self._closed:
                    if not source.live:
                        self._reply(source.read())
                        with self._changed:
                            self._changed.wait_for(lambda: self._answer is None or self._closed)
                    else:
                        source.grab()
                        if self._wanted:
                            self._reply(source.retrieve())
        except Exception as error:  # who waits must hear of every failure
            self._reply(error)

    def _reply(self, answer: np.ndarray | Exception) -> None:
        with self._changed:
            self._answer = answer
            self._changed.notify()
