"""What OpenCV captures: cameras at this machine, streams over the network, video files."""

import os
import time
from pathlib import Path

import cv2
import numpy as np

from facefleet.vision.addresses import scheme, shown
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.pictures import bounded

# Errors are reported here, in sentences; what OpenCV and FFmpeg say beside is noise, and may name
# an address with its password.
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_TIMEOUT = 10.0  # seconds; a camera that says nothing for this long is gone
# OpenCV fails alike over a packet that is broken and at the end. After this many failures in a row,
# which take some milliseconds at an end, it is the end.
_BROKEN_PACKETS = 10_000
_BROKEN_FRAMES = 100  # in a row


class _Capture:
    """A cv2.VideoCapture whose failures are sentences."""

    def __init__(self, source: str, api: int, options: list[int], name: str, hint: str) -> None:
        self.broken = 0
        """Packets and frames so far that could not be decoded."""
        self._name = name
        self._broken_frames = 0  # since the last good one
        self._played = False
        self._capture = cv2.VideoCapture(source, api, options)
        if not self._capture.isOpened():
            raise CameraError(f"{name} cannot be opened: {hint}")

    def read(self) -> np.ndarray:
        while True:
            self.grab()
            if (image := self.retrieve()) is not None:
                return image

    def grab(self) -> None:
        deadline = time.monotonic() + _TIMEOUT / 2
        for failures in range(_BROKEN_PACKETS):
            if self._capture.grab():
                self.broken += failures
                return
            if time.monotonic() > deadline:
                raise CameraError(
                    f"{self._name} sends no more frames: see that it is on and connected."
                )
        raise self._over()

    def retrieve(self) -> np.ndarray | None:
        """The frame that was grabbed, or None where it is broken."""
        try:
            ok, image = self._capture.retrieve()
        except (cv2.error, MemoryError):
            ok = False
        if ok:
            self._played = True
            self._broken_frames = 0
            return bounded(image)
        self.broken += 1
        self._broken_frames += 1
        if self._broken_frames == _BROKEN_FRAMES:
            raise CameraError(
                f"{self._name} sends frames that cannot be decoded: "
                "choose another format or a smaller picture for it."
            )
        return None

    def close(self) -> None:
        self._capture.release()

    def _over(self) -> CameraError:
        if self._played:
            return CameraEndedError(f"{self._name} has ended.")
        return CameraError(f"{self._name} has no frame that can be read: replace it.")


class DeviceSource(_Capture):
    """A camera at this machine, such as /dev/video0 or /dev/v4l/by-id/..."""

    live = True

    def __init__(self, device: str) -> None:
        if not Path(device).exists():
            raise CameraError(
                f"There is no camera {shown(device)}: plug it in, or correct its path."
            )
        super().__init__(
            device,
            cv2.CAP_V4L2,
            [],
            f"The camera {shown(device)}",
            "end what else uses it, and let this user into the group video.",
        )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # nothing old waits in a queue

    def _over(self) -> CameraError:
        return CameraError(f"{self._name} sends no more frames: see that it is connected.")


class StreamSource(_Capture):
    """A camera in the network: an RTSP or HTTP address.

    Some answer with one picture, and some end now and then: an end after a frame is no failure, and
    whoever reads opens the address again.
    """

    live = True

    def __init__(self, address: str) -> None:
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * _TIMEOUT)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(1000 * _TIMEOUT)),
        ]
        super().__init__(
            f"{scheme(address)}://{address.partition('://')[2]}",  # FFmpeg knows small letters only
            cv2.CAP_FFMPEG,
            timeouts,
            f"The stream {shown(address)}",
            "see that it is on, and that address, user and password are right.",
        )


class VideoSource(_Capture):
    """A video file, frame by frame; none is dropped."""

    live = False

    def __init__(self, path: Path) -> None:
        name = f"The video {path}"
        hint = "it is no video that FFmpeg reads, or this user may not read it."
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise CameraError(f"{name} cannot be opened: {hint}") from error
        # By its handle: a name may be a pattern or an address for FFmpeg, and one that is not UTF-8
        # ends the process.
        try:
            super().__init__(f"/proc/self/fd/{self._file.fileno()}", cv2.CAP_FFMPEG, [], name, hint)
        except CameraError:
            self._file.close()
            raise

    def close(self) -> None:
        super().close()
        self._file.close()
