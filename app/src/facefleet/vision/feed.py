"""An open source, in a process of its own: `reader`."""

import contextlib
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from threading import Event

import numpy as np

from facefleet.errors import printable
from facefleet.logging import log
from facefleet.vision.addresses import shown
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.reader import MESSAGE, NEXT

_LOOK = 0.2  # seconds between looks at `stop` while a frame is awaited
_SILENCE = 60.0  # seconds; a source that hangs longer than any of its own timeouts is given up
_GOODBYE = 0.5  # seconds for a camera to be told that its stream is no longer wanted
_TOLD = 1000  # skipped files that are told once


class Feed:
    """The frames of a source, asked for one by one.

    The process behind it is started when a frame is asked for, and again after it has ended. It is
    also what keeps a camera that blocks from holding up who wants to stop, and a live one from
    falling behind: who asks gets the next frame and not one from a queue.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._name = shown(source)
        self._process: subprocess.Popen | None = None
        self._file: str | None = None  # that the process reads now
        self._skip: list[str] = []  # files that ended a process
        self._told: set[str] = set()
        self._broken = 0
        self.broken = 0
        """Packets and frames so far that could not be decoded."""

    def next(self, stop: Event) -> np.ndarray | None:
        """Wait for a frame, (height, width, 3), uint8, BGR, which is valid until the next is asked.

        None when `stop` is set first. Raises CameraError, and CameraEndedError where the source has
        ended; asked again, it is opened again.
        """
        if self._process is None:
            self._start()
        with contextlib.suppress(
            BrokenPipeError
        ):  # what it said before its end is still to be read
            self._control.send(NEXT)
        return self._await_frame(stop)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._control.close()
            try:
                self._process.wait(_GOODBYE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            os.close(self._memory)
            self._process = None

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_LOOK)
        self._memory = os.memfd_create("frame")
        self._map = mmap.mmap(-1, 1)
        self._broken = 0
        handles = [theirs.fileno(), self._memory]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "facefleet.vision.reader", *map(str, handles)],
                # Each thread of its pool would reserve memory that counts as filled.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=handles,
            )
        # Not as an argument, which everybody on the machine may read.
        with contextlib.suppress(BrokenPipeError):
            self._control.send(json.dumps({"source": self._source, "skip": self._skip}).encode())

    def _await_frame(self, stop: Event) -> np.ndarray | None:
        deadline = time.monotonic() + _SILENCE
        while not stop.is_set():
            try:
                answer = self._control.recv(MESSAGE)
            except ConnectionResetError:  # comes once, and before what is still to be read
                continue
            except TimeoutError:
                if time.monotonic() < deadline:
                    continue
                raise self._give_up(f"has hung for {_SILENCE:.0f} s") from None
            if not answer:
                code = self._process.wait()
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                raise self._give_up(f"has ended what reads it ({how})")
            message = json.loads(answer)
            if "frame" in message:
                self._count(message["broken"])
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
        # A source that was opened again counts from zero.
        self.broken += broken - self._broken if broken >= self._broken else broken
        self._broken = broken

    def _skipped(self, file: str, reason: str) -> None:
        """Say so once, though the folder is played again and again."""
        if file not in self._told:
            if len(self._told) < _TOLD:
                self._told.add(file)
            log.warning(f"skipped: {reason}", file=printable(file))

    def _give_up(self, what: str) -> CameraError:
        """End the process, and leave out the file that it was at, if any, in the next."""
        self._process.kill()
        self.close()
        if self._file is not None:
            self._skip.append(self._file)
            self._skipped(self._file, f"it {what}")
            self._file = None
        return CameraError(f"{self._name} {what}: it is opened again.")
