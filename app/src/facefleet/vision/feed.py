"""The frames of a source that is opened and decoded by a separate process (`reader`)."""

import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from threading import Event

import numpy as np

from facefleet.errors import printable
from facefleet.logging import log
from facefleet.vision.addresses import shown
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.options import DEFAULT, Options
from facefleet.vision.reader import MESSAGE, NEXT

_POLL_INTERVAL = 0.2  # seconds between checks of `stop` while waiting for a frame
_HANG_TIMEOUT = 60.0  # seconds, longer than any timeout of a source itself
_CLOSE_TIMEOUT = 0.5  # seconds for the process to end its camera's stream
_MAX_REPORTED = 1000  # skipped files to remember, so as to report each of them once


class Feed:
    """The frames of a source, requested one by one.

    The process is started when a frame is requested, and again after it has ended. With a separate
    process, a camera that blocks cannot delay a stop, and a live camera cannot fall behind: each
    request returns the next frame, not one from a queue.
    """

    def __init__(self, source: str, options: Options = DEFAULT) -> None:
        self._source = source
        self._options = options
        self._name = shown(source)
        self._process: subprocess.Popen | None = None
        self._file: str | None = None  # the file that the process is reading
        self._skip: list[str] = []  # files that made a process end
        self._reported: set[str] = set()
        self._broken = 0  # as last reported by the current process
        self.broken = 0
        """Number of packets and frames so far that could not be decoded."""
        self.cut = False
        """Whether the last frame does not continue the one before."""
        self.live = False
        """Whether the last frame is from a camera, and not from a recording."""

    def next(self, stop: Event) -> np.ndarray | None:
        """Wait for a frame, (height, width, 3), uint8, BGR, that is valid until the next call.

        Return None if `stop` is set first. Raises CameraError, or CameraEndedError if the source
        has ended; the next call opens it again.
        """
        if self._process is None:
            self._start()
        with contextlib.suppress(BrokenPipeError):  # its last messages can still be read
            self._control.send(NEXT)
        return self._await_frame(stop)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._control.close()
            try:
                self._process.wait(_CLOSE_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            os.close(self._memory)
            self._process = None

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_POLL_INTERVAL)
        self._memory = os.memfd_create("frame")
        self._map = mmap.mmap(-1, 1)
        self._broken = 0
        handles = [theirs.fileno(), self._memory]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "facefleet.vision.reader", *map(str, handles)],
                # Each thread in OpenBLAS's pool would reserve memory that counts towards the limit.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=handles,
            )
        # Not as an argument, which every user of the machine can read.
        order = {"source": self._source, "options": asdict(self._options), "skip": self._skip}
        with contextlib.suppress(BrokenPipeError):
            self._control.send(json.dumps(order).encode())

    def _await_frame(self, stop: Event) -> np.ndarray | None:
        deadline = time.monotonic() + _HANG_TIMEOUT
        while not stop.is_set():
            try:
                answer = self._control.recv(MESSAGE)
            except ConnectionResetError:  # raised once, before the remaining messages can be read
                continue
            except TimeoutError:
                if time.monotonic() < deadline:
                    continue
                raise self._give_up(f"did not respond for {_HANG_TIMEOUT:.0f} s") from None
            if not answer:
                code = self._process.wait()
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                raise self._give_up(f"crashed the reader process ({how})")
            message = json.loads(answer)
            if "frame" in message:
                self._count(message["broken"])
                self.cut, self.live = message["cut"], message["live"]
                return self._image(*message["frame"])
            self._file = message.get("file")
            if "skipped" in message:
                self._skipped(message["skipped"], message["reason"])
            elif "ended" in message:
                raise CameraEndedError(message["ended"])
            elif "error" in message:
                raise CameraError(message["error"])
        return None

    def _image(self, height: int, width: int) -> np.ndarray:
        self._file = None
        size = height * width * 3
        if len(self._map) < size:
            self._map = mmap.mmap(self._memory, size, access=mmap.ACCESS_READ)
        return np.frombuffer(self._map, np.uint8, size).reshape(height, width, 3)

    def _count(self, broken: int) -> None:
        # The count restarts from zero when the source is opened again.
        self.broken += broken - self._broken if broken >= self._broken else broken
        self._broken = broken

    def _skipped(self, file: str, reason: str) -> None:
        """Log a skipped file once, although the folder is played repeatedly."""
        if file not in self._reported:
            if len(self._reported) < _MAX_REPORTED:
                self._reported.add(file)
            log.warning(f"skipped: {reason}", file=printable(file))

    def _give_up(self, failure: str) -> CameraError:
        """End the process. If it was reading a file, skip that file from now on."""
        self._process.kill()
        self.close()
        if self._file is not None:
            self._skip.append(self._file)
            self._skipped(self._file, f"it {failure}")
            self._file = None
        return CameraError(f"{self._name} {failure}: reopening it.")
