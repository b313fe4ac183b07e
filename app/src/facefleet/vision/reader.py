"""The process that opens a source and decodes its frames.

Native code decodes untrusted data here. If it crashes or runs out of memory, only this process
ends, and is started again. The process with the outbox is not affected.

Run as `python -m facefleet.vision.reader SOCKET MEMORY`. SOCKET is the descriptor of a Unix socket
that preserves message boundaries; MEMORY is that of an in-memory file for frames. The first message
is JSON, `{"source": ..., "options": {...}, "skip": [file, ...]}`. After that, each NEXT requests
one frame. The response is an object with one of the first three keys, after any number of "file"
and "skipped":
  frame    [height, width]: the frame is in MEMORY until the next NEXT; "broken" counts losses;
           "cut" says that it does not continue the last frame; "live", that a camera took it
           just now
  ended    a sentence: the source has ended; the next NEXT opens it again
  error    a sentence: the source has failed; the next NEXT opens it again
  file     the path of the file that is read next
  skipped  the path of a file that is not an image; "reason" is a sentence
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
from facefleet.vision.capture import Capture
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.options import Options, turned
from facefleet.vision.sources import Source, open_source

NEXT = b"next"
MESSAGE = 1 << 16  # maximum bytes of a message
MEMORY = 640 << 20  # bytes that this process may allocate, in addition to the shared frame


class _GoneError(Exception):
    """The parent process has closed the socket or ended."""


class _Reader:
    def __init__(self, control: socket.socket, memory: int) -> None:
        self._control = control
        self._memory = memory
        self._map = mmap.mmap(-1, 1)
        self._size = 0
        self._shared: np.ndarray | None = None  # the last frame, in the shared memory
        self._requested = False  # a request is pending
        order = json.loads(self._receive())
        self._source: str = order["source"]
        self._options = Options(**order["options"])
        self._skip: set[str] = set(order["skip"])

    def run(self) -> None:
        """Serve frames until the parent process closes the socket."""
        while True:
            self._await_request()
            try:
                with closing(self._open()) as source:
                    if isinstance(source, Capture):
                        self._captured(source)
                    else:
                        self._pictures(source)
            except CameraEndedError as end:
                self._answer({"ended": str(end)})
            except CameraError as error:
                self._answer({"error": str(error)})
            except (cv2.error, MemoryError):
                name = shown(self._source)
                self._answer({"error": f"{name} needs too much memory: lower its resolution."})

    def _open(self) -> Source:
        return open_source(self._source, self._options, self._on_file, self._on_skip)

    def _captured(self, source: Capture) -> None:
        """Grab the next frame while the parent processes the last one.

        Of a live camera, every frame is grabbed, but only those that are requested are retrieved.
        """
        cut = not source.live
        while True:
            source.grab()
            if source.live and not self._is_requested():
                continue
            self._await_request()
            # From now on, the parent does not use the last frame.
            into = None if self._options.rotation else self._shared
            if (image := source.retrieve(into)) is not None:
                self._pass_on(image, source, cut=cut)
                cut = False

    def _pictures(self, source: Source) -> None:
        """Read the next picture while the parent processes the last one."""
        cut = True
        while True:
            image = source.read()
            self._await_request()
            self._pass_on(image, source, cut=cut)
            cut = source.stills

    def _pass_on(self, image: np.ndarray, source: Source, *, cut: bool) -> None:
        if image is not self._shared:
            self._share(turned(image, self._options.rotation))
        self._answer(
            {
                "frame": self._shared.shape[:2],
                "broken": source.broken,
                "cut": cut,
                "live": source.live,
            }
        )

    def _share(self, image: np.ndarray) -> None:
        if image.nbytes > self._size:
            self._size = image.nbytes
            os.ftruncate(self._memory, self._size)
            self._map = mmap.mmap(self._memory, self._size)
        self._shared = np.frombuffer(self._map, np.uint8, image.nbytes).reshape(image.shape)
        self._shared[:] = image

    def _on_file(self, file: Path) -> bool:
        if str(file) in self._skip:
            return False
        self._send({"file": str(file)})
        return True

    def _on_skip(self, file: Path, reason: str) -> None:
        self._send({"skipped": str(file), "reason": reason})

    def _answer(self, message: dict) -> None:
        """Answer the pending request, or else the next one."""
        self._await_request()
        self._requested = False
        self._send(message)

    def _send(self, message: dict) -> None:
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
    # The parent process decides when to end, even if a signal is sent to the whole group.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Keep only Python's errors in the log: decoders write warnings about their input to stderr.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would contain images and passwords
    with socket.socket(fileno=int(sys.argv[1])) as control:
        try:
            _Reader(control, int(sys.argv[2])).run()
        except _GoneError:
            return


if __name__ == "__main__":
    main()
