"""Where pictures come from: what a source can do, and which one a setting names."""

from pathlib import Path
from typing import Protocol

import numpy as np

from facefleet.vision.capture import DeviceSource, StreamSource, VideoSource, without_secrets
from facefleet.vision.errors import CameraError
from facefleet.vision.folder import FolderSource
from facefleet.vision.sample import Sample

STREAMS = ("rtsp://", "rtsps://", "http://", "https://")


class Source(Protocol):
    """An open camera, or what stands for one."""

    live: bool
    """Whether frames come by themselves, and grow old unless they are grabbed."""

    def read(self) -> np.ndarray:
        """Wait for the next frame: (height, width, 3), uint8, BGR.

        Raises CameraError where none comes, CameraEndedError at the end of a recording.
        """

    def close(self) -> None: ...


class LiveSource(Source, Protocol):
    """A source with `live` true: `read` in two steps, of which the first costs little."""

    def grab(self) -> None:
        """Wait for the next frame. Raises as `read`."""

    def retrieve(self) -> np.ndarray:
        """The frame that was grabbed. Raises as `read`."""


def open_source(source: str) -> Source:
    """Open what `source` names.

    That is `sample:<name>`, a device (`/dev/...`), the address of a stream, or the path of a video
    or of a folder of pictures. Raises CameraError.
    """
    if source.startswith("sample:"):
        return Sample(source.removeprefix("sample:"))
    if source.startswith(STREAMS):
        return StreamSource(source)
    if source.startswith("/dev/"):
        return DeviceSource(source)
    path = Path(source)
    if path.is_dir():
        return FolderSource(path)
    if path.is_file():
        return VideoSource(path)
    raise CameraError(
        f"There is no {without_secrets(source)}: name sample:astronaut, a device such as "
        "/dev/video0, an address such as rtsp://..., a video file or a folder of pictures."
    )
