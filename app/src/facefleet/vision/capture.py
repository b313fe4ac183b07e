"""What OpenCV captures: cameras at this machine, streams over the network, video files."""

import os
import re
from pathlib import Path

import cv2
import numpy as np

from facefleet.vision.errors import CameraEndedError, CameraError

# Errors are reported here, in sentences; what OpenCV and FFmpeg say beside is noise.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_TIMEOUT_MS = 10_000  # a camera that says nothing for this long is gone


class _Capture:
    """A cv2.VideoCapture whose failures are sentences."""

    def __init__(self, source: str, api: int, options: list[int], name: str, hint: str) -> None:
        self._name = name
        self._capture = cv2.VideoCapture(source, api, options)
        if not self._capture.isOpened():
            raise CameraError(f"{name} cannot be opened: {hint}")

    def read(self) -> np.ndarray:
        self.grab()
        return self.retrieve()

    def grab(self) -> None:
        if not self._capture.grab():
            raise self._over()

    def retrieve(self) -> np.ndarray:
        ok, image = self._capture.retrieve()
        if not ok:
            raise CameraError(f"{self._name} sent a broken frame: it is opened again.")
        return image

    def close(self) -> None:
        self._capture.release()

    def _over(self) -> CameraError:
        return CameraError(f"{self._name} sends no more frames: see that it is on and connected.")


class DeviceSource(_Capture):
    """A camera at this machine, such as /dev/video0 or /dev/v4l/by-id/..."""

    live = True

    def __init__(self, device: str) -> None:
        if not Path(device).exists():
            raise CameraError(f"There is no camera {device}: plug it in, or correct its path.")
        super().__init__(
            device,
            cv2.CAP_V4L2,
            [],
            f"The camera {device}",
            "end what else uses it, and let this user into the group video.",
        )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # nothing old waits in a queue


class StreamSource(_Capture):
    """A camera in the network: an RTSP or HTTP address."""

    live = True

    def __init__(self, address: str) -> None:
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS),
        ]
        super().__init__(
            address,
            cv2.CAP_FFMPEG,
            timeouts,
            f"The stream {without_secrets(address)}",
            "see that it is on, and that address, user and password are right.",
        )


class VideoSource(_Capture):
    """A video file, frame by frame; none is dropped."""

    live = False

    def __init__(self, path: Path) -> None:
        super().__init__(
            str(path),
            cv2.CAP_FFMPEG,
            [],
            f"The video {path}",
            "it is no video that FFmpeg reads, or this user may not read it.",
        )
        self._played = False

    def read(self) -> np.ndarray:
        image = super().read()
        self._played = True
        return image

    def _over(self) -> CameraError:
        if self._played:
            return CameraEndedError(f"{self._name} has ended.")
        return CameraError(f"{self._name} has no frame that can be read: replace it.")


def without_secrets(address: str) -> str:
    """`address` as scheme, host and port only: users, passwords, paths and queries stay private.

    Many cameras take the password in the path or in the query. What has no scheme is kept.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    authority, *more = re.split(r"[/?#]", rest, maxsplit=1)
    if "@" not in authority and any("@" in part for part in more):
        return f"{scheme}://***"  # a password with a slash: what is the host cannot be told
    host = authority.rpartition("@")[2]
    return f"{scheme}://{host}/..." if more else f"{scheme}://{host}"
