"""The interface of frame sources, and the function that opens the source named by a setting."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from facefleet.vision.addresses import PIPELINE, scheme, shown
from facefleet.vision.capture import (
    NO_GSTREAMER,
    DeviceSource,
    PipelineSource,
    StreamSource,
    VideoSource,
    has_gstreamer,
)
from facefleet.vision.errors import CameraError, VisionError
from facefleet.vision.folder import FolderSource
from facefleet.vision.options import DEFAULT, Options
from facefleet.vision.sample import Sample


class Source(Protocol):
    """An open camera, recording or folder."""

    live: bool
    """Whether frames arrive in real time, and become outdated unless they are grabbed."""

    stills: bool
    """Whether each frame is a picture of its own, and no moment after the last one."""

    broken: int
    """Number of packets and frames so far that could not be decoded."""

    def read(self) -> np.ndarray:
        """Wait for the next frame: (height, width, 3), uint8, BGR.

        Raises CameraError if no frame arrives, CameraEndedError at the end of a recording.
        """

    def close(self) -> None: ...


def check_source(source: str) -> None:
    """Raise VisionError if this OpenCV can never open `source`."""
    if source.startswith(PIPELINE) and not has_gstreamer():
        raise VisionError(NO_GSTREAMER)


def open_source(
    source: str,
    options: Options = DEFAULT,
    on_file: Callable[[Path], bool] = lambda _file: True,
    on_skip: Callable[[Path, str], None] = lambda _file, _reason: None,
) -> Source:
    """Open what `source` names.

    `source` is `sample:<name>`, `gstreamer:<pipeline>`, a device (`/dev/...`), the URL of a stream,
    or the path of a video file or of a folder of images, for which `on_file` and `on_skip` are
    called as `FolderSource` describes. Raises CameraError.
    """
    if source.startswith("sample:"):
        return Sample(source.removeprefix("sample:"))
    if source.startswith(PIPELINE):
        return PipelineSource(source.removeprefix(PIPELINE))
    if scheme(source) is not None:
        return StreamSource(source)
    if source.startswith("/dev/"):
        return DeviceSource(source, options)
    path = Path(source)
    try:
        if path.is_dir():
            return FolderSource(path, on_file, on_skip)
        if path.is_file():
            return VideoSource(path)
        if path.exists():
            raise CameraError(f"{path} is neither a video file nor a folder: use one of these.")
    except OSError as error:
        raise CameraError(
            f"{shown(source)} cannot be accessed ({error.strerror}): allow this user to read it."
        ) from error
    raise CameraError(
        f"There is no source {shown(source)}: use sample:astronaut, a device such as "
        "/dev/video0, an address such as rtsp://..., a video file or a folder of images."
    )
