"""A folder of images, played in the order of their names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from facefleet.vision.errors import CameraEndedError, CameraError, PictureError
from facefleet.vision.pictures import read_picture


class FolderSource:
    """Each image of a folder, once. Raises CameraError if the folder cannot be listed.

    `on_file` is called before a file is read, and returns whether to read it. `on_skip` is called
    with each file that is not an image, and the reason.
    """

    live = False
    stills = True
    broken = 0

    def __init__(
        self,
        path: Path,
        on_file: Callable[[Path], bool],
        on_skip: Callable[[Path, str], None],
    ) -> None:
        self._path = path
        self._on_file = on_file
        self._on_skip = on_skip
        try:
            self._files = iter(sorted(path.iterdir()))
        except OSError as error:
            raise CameraError(
                f"The folder {path} cannot be listed: allow this user to read it."
            ) from error
        self._played = False

    def read(self) -> np.ndarray:
        """Return the next image: (height, width, 3), uint8, BGR. Sizes may differ."""
        for file in self._files:
            if not self._on_file(file):
                continue
            try:
                image = read_picture(file)
            except PictureError as error:
                self._on_skip(file, str(error))
            else:
                self._played = True
                return image
        if self._played:
            raise CameraEndedError(f"The folder {self._path} has been played.")
        raise CameraError(f"The folder {self._path} has no images: add JPEG or PNG files.")

    def close(self) -> None:
        """Do nothing: no file is kept open."""
