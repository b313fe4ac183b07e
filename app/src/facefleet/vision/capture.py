"""Sources that OpenCV captures: local cameras, network streams, and video files."""

import os
import time
from pathlib import Path

import cv2
import numpy as np

from facefleet.vision.addresses import scheme, shown
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.options import Options
from facefleet.vision.pictures import bounded

# This module reports errors in sentences. Messages of OpenCV and FFmpeg would only add noise, and
# might contain a URL with its password.
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
# An OpenCV that is not from the wheel may have the other function instead.
_set_log_level = cv2.utils.logging.setLogLevel if hasattr(cv2.utils, "logging") else cv2.setLogLevel
_set_log_level(0)  # silent
# Over UDP, frames lose packets, and firewalls and network policies drop them all.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")

_TIMEOUT = 10.0  # seconds without a frame until a camera counts as gone
# OpenCV fails in the same way for a broken packet and at the end of a file. This many consecutive
# failures, which take some milliseconds at the end, count as the end.
_BROKEN_PACKETS = 10_000
_BROKEN_FRAMES = 100  # in a row
_SIDES = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)


NO_GSTREAMER = (
    f"OpenCV {cv2.__version__} was built without GStreamer, which the source of this camera needs: "
    "install an OpenCV that has it (docs/cameras.md), or use another source."
)


def has_gstreamer() -> bool:
    return cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)


class Capture:
    """A cv2.VideoCapture that reports failures in sentences. `read` is `grab` and `retrieve`."""

    stills = False

    def __init__(self, source: str, api: int, options: list[int], name: str, hint: str) -> None:
        self.broken = 0
        """Number of packets and frames so far that could not be decoded."""
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
        """Wait for the next frame."""
        deadline = time.monotonic() + _TIMEOUT / 2
        for failures in range(_BROKEN_PACKETS):
            if self._capture.grab():
                self.broken += failures
                return
            if time.monotonic() > deadline:
                raise CameraError(
                    f"{self._name} sends no more frames: check that it is on and connected."
                )
        raise self._over()

    def retrieve(self, into: np.ndarray | None = None) -> np.ndarray | None:
        """Return the frame that was grabbed, or None if it cannot be decoded.

        If `into` has the frame's shape, the frame is written there, and `into` is returned.
        """
        try:
            ok, image = self._capture.retrieve(into)
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
                "choose another format or a lower resolution."
            )
        return None

    def close(self) -> None:
        self._capture.release()

    def _over(self) -> CameraError:
        if self._played:
            return CameraEndedError(f"{self._name} has ended.")
        return CameraError(f"{self._name} has no readable frames: replace it.")


class DeviceSource(Capture):
    """A camera of this machine, such as /dev/video0 or /dev/v4l/by-id/..."""

    live = True

    def __init__(self, device: str, options: Options) -> None:
        if not Path(device).exists():
            raise CameraError(
                f"There is no camera {shown(device)}: plug it in, or correct its path."
            )
        super().__init__(
            device,
            cv2.CAP_V4L2,
            [],
            f"The camera {shown(device)}",
            "stop other programs that use it, and add this user to the group video.",
        )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # queue no old frames
        self._configure(options)

    def _configure(self, options: Options) -> None:
        if options.fourcc is not None:
            self._capture.set(cv2.CAP_PROP_FOURCC, options.fourcc)
        if options.size is not None:
            for name, side in zip(_SIDES, options.size, strict=True):
                self._capture.set(name, side)
        # A driver chooses something else if it does not support what is asked for.
        width, height = (int(self._capture.get(name)) for name in _SIDES)
        unmet = options.unmet(int(self._capture.get(cv2.CAP_PROP_FOURCC)), (width, height))
        if unmet is not None:
            self.close()
            raise CameraError(
                f"{self._name} {unmet}: choose a pixel_format and a resolution that "
                "`v4l2-ctl --list-formats-ext` lists."
            )

    def _over(self) -> CameraError:
        return CameraError(f"{self._name} sends no more frames: check that it is connected.")


class StreamSource(Capture):
    """A network camera at an RTSP or HTTP URL.

    Some cameras return a single image, and some streams end now and then. So an end after at least
    one frame is not a failure, and the caller opens the URL again.
    """

    live = True

    def __init__(self, address: str) -> None:
        timeouts = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * _TIMEOUT)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(1000 * _TIMEOUT)),
        ]
        super().__init__(
            f"{scheme(address)}://{address.partition('://')[2]}",  # FFmpeg requires lower case
            cv2.CAP_FFMPEG,
            timeouts,
            f"The stream {shown(address)}",
            "check that it is on, and that address, user and password are correct.",
        )


class PipelineSource(Capture):
    """A GStreamer pipeline that ends with an appsink."""

    live = True

    def __init__(self, pipeline: str) -> None:
        if not has_gstreamer():
            raise CameraError(NO_GSTREAMER)
        super().__init__(
            pipeline,
            cv2.CAP_GSTREAMER,
            [],
            "The GStreamer pipeline",
            "try it with gst-launch-1.0, with fakesink instead of appsink.",
        )

    def retrieve(self, into: np.ndarray | None = None) -> np.ndarray | None:
        image = super().retrieve(into)
        gray = image is not None and image.ndim == 2
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if gray else image


class VideoSource(Capture):
    """A video file, played frame by frame without dropping any."""

    live = False

    def __init__(self, path: Path) -> None:
        name = f"The video {path}"
        hint = "check that FFmpeg supports it and that this user may read it."
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise CameraError(f"{name} cannot be opened: {hint}") from error
        # Open the file by its descriptor: FFmpeg may take a name for a pattern or a URL, and a name
        # that is not UTF-8 terminates the process.
        try:
            super().__init__(f"/proc/self/fd/{self._file.fileno()}", cv2.CAP_FFMPEG, [], name, hint)
        except CameraError:
            self._file.close()
            raise

    def close(self) -> None:
        super().close()
        self._file.close()
