"""Tell whether something moves in front of a camera. The time is an argument."""

import cv2
import numpy as np

from facefleet.regions import EVERYWHERE, Regions

_CELLS_OF_FACE = 4  # height and width of the smallest face in cells
_ROWS_OF_CELL = 4  # rows of pixels that are read of each cell; more would only cost time
_SMALLEST, _LARGEST = 4, 64  # pixels of a cell's side
_ADAPTATION = 1.0  # seconds over which the background takes on a change
_NOISE_ADAPTATION = 5.0  # seconds over which the noise is averaged
# A cell has changed if it differs by this many times the noise, but by at least the first and at
# most the second number of gray levels. The noise is the median difference, two thirds of a
# standard deviation.
_TIMES_NOISE = 8.0
_LEAST, _MOST = 5.0, 24.0
_BLACK = 4.0  # gray levels; below them, a ratio of two says nothing about the light


class Motion:
    """Compares frames with a background that adapts slowly.

    A frame is reduced to cells, a quarter of the smallest face wide and high, which average the
    noise of the sensor away. What changes all cells by the same factor is the light.
    """

    def __init__(self, min_face: int, regions: Regions = EVERYWHERE) -> None:
        self._regions = regions
        self._cell = min(max(min_face // _CELLS_OF_FACE, _SMALLEST), _LARGEST)
        self._background: np.ndarray | None = None
        self._counts = np.ones((0, 0), bool)
        self._noise = 0.0
        self._last = 0.0

    def moved(self, image: np.ndarray, now: float) -> bool:
        """Return whether `image` ((height, width, 3), uint8, BGR) differs from the background.

        True for the first frame and after a change of size. The more seconds have passed since the
        last frame, the more of this frame becomes background.
        """
        cells = self._cells(image)
        passed, self._last = now - self._last, now
        if self._background is None or self._background.shape != cells.shape:
            self._background, self._noise = cells, 0.0
            self._counts = self._mask(cells.shape)
            return True
        background = self._background
        background *= np.median((cells + _BLACK) / (background + _BLACK))
        difference = cells - background
        background += difference * (passed / (passed + _ADAPTATION))
        # A face is larger than a cell, and noise is not.
        change = np.abs(cv2.blur(difference * self._counts, (3, 3)))[self._counts]
        if not change.size:
            return False
        limit = min(max(_TIMES_NOISE * self._noise, _LEAST), _MOST)
        noise = float(np.median(change))
        self._noise += (noise - self._noise) * passed / (passed + _NOISE_ADAPTATION)
        return bool(change.max() > limit)

    def _mask(self, shape: tuple[int, int]) -> np.ndarray:
        """Return which cells count, those whose centre does."""
        rows, columns = shape
        return np.array(
            [
                [self._regions.count((x + 0.5) / columns, (y + 0.5) / rows) for x in range(columns)]
                for y in range(rows)
            ]
        )

    def _cells(self, image: np.ndarray) -> np.ndarray:
        """Return the gray levels of the frame's cells, (rows, columns), float32."""
        # Whole cells only, as resizing by a whole number is three times as fast.
        rows, columns = (max(1, side // self._cell) for side in image.shape[:2])
        step = self._cell // _ROWS_OF_CELL
        image = image[: rows * self._cell : step, : columns * self._cell]
        small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
