"""Where pictures come from: what a source can do, and which one a setting names."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from facefleet.vision.addresses import scheme, shown
from facefleet.vision.capture import DeviceSource, StreamSource, VideoSource
from facefleet.vision.errors import CameraError
from facefleet.vision.folder import FolderSource
from facefleet.vision.sample import Sample


class Source(Protocol):
    """An open camera, or what stands for one."""

    live: bool
    """Whether frames come by themselves, and grow old unless they are grabbed."""

    broken: int
    """How much of it could not be decoded so far: packets and frames."""

    def read(self) -> np.ndarray:
        """Wait for the next frame: (height, width, 3), uint8, BGR.

        Raises CameraError where none comes, CameraEndedError at the end of a recording.
        """

    def close(self) -> None: ...


class LiveSource(Source, Protocol):
    """A source with `live` true: `read` in two steps, of which the first costs little."""

    def grab(self) -> None:
        """Wait for the next frame. Raises as `read`."""

    def retrieve(self) -> np.ndarray | None:
        """The frame that was grabbed, or None where it is broken. Raises as `read`."""


def open_source(
    source: str,
    on_file: Callable[[Path], bool] = lambda _file: True,
    on_skip: Callable[[Path, str], None] = lambda _file, _reason: None,
) -> Source:
    """Open what `source` names.

    That is `sample:<name>`, a device (`/dev/...`), the address of a stream, or the path of a video
    or of a folder of pictures, whose files are told as `FolderSource` says. Raises CameraError.
    """
    if source.startswith("sample:"):
        return Sample(source.removeprefix("sample:"))
    if scheme(source) is not None:
        return StreamSource(source)
    if source.startswith("/dev/"):
        return DeviceSource(source)
    path = Path(source)
    try:
        if path.is_dir():
            return FolderSource(path, on_file, on_skip)
        if path.is_file():
            return VideoSource(path)
        if path.exists():
            raise CameraError(f"{path} is neither a video file nor a folder of pictures: name one.")
    except OSError as error:
        raise CameraError(
            f"{shown(source)} cannot be looked at ({error.strerror}): let this user read it."
        ) from error
    raise CameraError(
        f"There is no {shown(source)}: name sample:astronaut, a device such as "
        "/dev/video0, an address such as rtsp://..., a video file or a folder of pictures."
    )
