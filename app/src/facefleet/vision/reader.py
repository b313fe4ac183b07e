"""The process that opens a source and decodes it.

Native code reads what anybody may have sent. Here a fault of it ends, and a bomb fills, a process
that is started again, and never the one with the outbox.

Run as `python -m facefleet.vision.reader SOCKET MEMORY`: SOCKET is a descriptor of a Unix socket
that keeps messages apart, MEMORY one of the file in memory that a frame is passed in. The first
message is JSON, `{"source": ..., "skip": [file, ...]}`. Then each NEXT asks for one frame, and is
answered by an object with one of these keys, after any number of "file" and "skipped":
  frame    [height, width]: it is in MEMORY until the next NEXT; "broken" counts what was lost
  ended    a sentence: the source has ended; the next NEXT opens it again
  error    a sentence: the source has failed; the next NEXT opens it again
  file     the path that is read now
  skipped  the path that is no picture; "reason" is a sentence
"""

import json
import mmap
import os
import resource
import signal
import socket
import sys
from contextlib import closing, suppress
from pathlib import Path

import cv2
import numpy as np

from facefleet.vision.addresses import shown
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.sources import LiveSource, Source, open_source

NEXT = b"next"
MESSAGE = 1 << 16  # bytes at most
MEMORY = 640 << 20  # bytes that this process may fill, beside the frame that it passes on


class _GoneError(Exception):
    """Who asked for frames has closed the socket or ended."""


class _Reader:
    def __init__(self, control: socket.socket, memory: int) -> None:
        self._control = control
        self._memory = memory
        self._map = mmap.mmap(-1, 1)
        self._size = 0
        self._requested = False  # a frame, and not answered yet
        order = json.loads(self._receive())
        self._source: str = order["source"]
        self._skip: set[str] = set(order["skip"])

    def run(self) -> None:
        """Until nobody asks any more."""
        while True:
            self._await_request()
            try:
                with closing(open_source(self._source, self._on_file, self._on_skip)) as source:
                    if source.live:
                        self._live(source)
                    else:
                        self._recorded(source)
            except CameraEndedError as end:
                self._answer({"ended": str(end)})
            except CameraError as error:
                self._answer({"error": str(error)})
            except (cv2.error, MemoryError):
                name = shown(self._source)
                self._answer({"error": f"{name} needs more memory than allowed: make it smaller."})

    def _live(self, source: LiveSource) -> None:
        """Grab every frame, and decode those that are asked for."""
        while True:
            source.grab()
            if self._is_requested() and (image := source.retrieve()) is not None:
                self._pass_on(image, source)

    def _recorded(self, source: Source) -> None:
        """Read the next frame while the last is looked at."""
        while True:
            image = source.read()
            self._await_request()
            self._pass_on(image, source)

    def _pass_on(self, image: np.ndarray, source: Source) -> None:
        height, width = image.shape[:2]
        if image.nbytes > self._size:
            self._size = image.nbytes
            os.ftruncate(self._memory, self._size)
            self._map = mmap.mmap(self._memory, self._size)
        np.frombuffer(self._map, np.uint8, image.nbytes).reshape(image.shape)[:] = image
        self._answer({"frame": [height, width], "broken": source.broken})

    def _on_file(self, file: Path) -> bool:
        if str(file) in self._skip:
            return False
        self._tell({"file": str(file)})
        return True

    def _on_skip(self, file: Path, reason: str) -> None:
        self._tell({"skipped": str(file), "reason": reason})

    def _answer(self, message: dict) -> None:
        """Answer the request, or the next one where there is none yet."""
        self._await_request()
        self._requested = False
        self._tell(message)

    def _tell(self, message: dict) -> None:
        try:
            self._control.send(json.dumps(message).encode())
        except ConnectionError as error:
            raise _GoneError from error

    def _await_request(self) -> None:
        if not self._requested:
            self._receive()
            self._requested = True

    def _is_requested(self) -> bool:
        if not self._requested:
            with suppress(BlockingIOError):
                self._receive(socket.MSG_DONTWAIT)
                self._requested = True
        return self._requested

    def _receive(self, flags: int = 0) -> bytes:
        try:
            message = self._control.recv(MESSAGE, flags)
        except ConnectionError as error:
            raise _GoneError from error
        if not message:
            raise _GoneError
        return message


def main() -> None:
    # Who asks says when to end, also where a signal goes to a whole group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Decoders complain about what they read; only what Python says of a fault is for the log.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold pictures, and passwords
    with socket.socket(fileno=int(sys.argv[1])) as control:
        try:
            _Reader(control, int(sys.argv[2])).run()
        except _GoneError:
            return


if __name__ == "__main__":
    main()
