"""A folder of pictures, played in the order of their names."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from facefleet.telemetry import log
from facefleet.vision.errors import CameraEndedError, CameraError


class FolderSource:
    """Each picture once. Raises CameraError where the folder cannot be listed."""

    live = False

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._files = iter(sorted(path.iterdir()))
        except OSError as error:
            raise CameraError(
                f"The folder {path} cannot be listed: let this user read it."
            ) from error
        self._played = False

    def read(self) -> np.ndarray:
        """The next picture, of whatever size it has: (height, width, 3), uint8, BGR."""
        for file in self._files:
            image = _read(file)
            if image is not None:
                self._played = True
                return image
            _report(file)
        if self._played:
            raise CameraEndedError(f"The folder {self._path} has been played.")
        raise CameraError(f"The folder {self._path} has no picture: put JPEG or PNG files there.")

    def close(self) -> None:
        """Nothing is held open."""


def _read(file: Path) -> np.ndarray | None:
    try:
        return cv2.imread(str(file), cv2.IMREAD_COLOR)
    except cv2.error:  # too large
        return None


@lru_cache(maxsize=1000)  # once a file, though the folder is played again and again
def _report(file: Path) -> None:
    log.warning("skipped: it is no picture that OpenCV reads", file=str(file))
