"""A simulated camera: an endless pan and zoom over a portrait, with changing light and noise."""

from importlib.resources import files

import cv2
import numpy as np

from facefleet.vision.errors import CameraError

FACES = {"astronaut": (178, 63, 90, 113), "hopper": (183, 120, 170, 212)}
"""The portraits in `samples/`, and the box (x, y, width, height) of the face in each, in pixels."""

_AWAY = (124, 128, 146, 150)  # frames of a cycle: start to leave, gone, start to return, end
_NOISE = 8.0  # standard deviation of a pixel


class Sample:
    """A source (see `sources.Source`) whose frames are reproducible and whose face is known."""

    live = False
    stills = False
    broken = 0

    def __init__(self, name: str, size: tuple[int, int] = (640, 480)) -> None:
        """`name` is one of `FACES`; `size` is (width, height) in pixels.

        Raises CameraError for an unknown name.
        """
        if name not in FACES:
            raise CameraError(
                f"There is no sample {name!r}: use sample:{' or sample:'.join(FACES)}."
            )
        self._photo = portrait(name)
        self._face = FACES[name]
        self._size = size
        width, height = size
        self._wall = cv2.resize(cv2.resize(self._photo, (4, 3)), size) // 2
        # Each frame uses another part of this tile, as generating noise takes 20 ms.
        noise = np.random.default_rng(0).normal(128, _NOISE, (height + 64, width + 64, 3))
        self._noise = noise.clip(0, 255).astype(np.uint8)
        self._next = 0

    def read(self) -> np.ndarray:
        """Return the next frame: (height, width, 3), uint8, BGR."""
        frame = self.frame(self._next)
        self._next += 1
        return frame

    def close(self) -> None:
        """Do nothing: no resource is kept open."""

    def frame(self, n: int) -> np.ndarray:
        """Return frame `n`: (height, width, 3), uint8, BGR."""
        width, height = self._size
        image = cv2.warpAffine(
            self._photo,
            np.array(self._view(n)),
            self._size,
            dst=self._wall.copy(),
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        top, left = np.random.default_rng(n).integers(64, size=2)
        noise = self._noise[top : top + height, left : left + width]
        light = 0.7 + 0.3 * _wave(n, 83)
        return cv2.addWeighted(image, light, noise, 1.0, -128.0)

    def truth(self, n: int) -> tuple[int, int, int, int] | None:
        """Return the face's box (x, y, width, height) in frame `n`, clipped, in pixels.

        Return None if less than half of the face is in view.
        """
        (zoom, _, left), (_, _, top) = self._view(n)
        x, y, face_width, face_height = (side * zoom for side in self._face)
        x0, x1 = np.clip((x + left, x + left + face_width), 0, self._size[0])
        y0, y1 = np.clip((y + top, y + top + face_height), 0, self._size[1])
        if (x1 - x0) * (y1 - y0) < 0.5 * face_width * face_height:
            return None
        return round(x0), round(y0), round(x1 - x0), round(y1 - y0)

    def _view(self, n: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Return the affine transform from the photograph to frame `n`."""
        width, height = self._size
        x, y, face_width, face_height = self._face
        zoom = (0.32 + 0.14 * _wave(n, 97)) * height / face_height
        away = np.interp(n % _AWAY[-1], _AWAY, (0.0, 1.0, 1.0, 0.0))
        centre_x = (0.5 + 0.2 * _wave(n, 61) + 1.2 * away) * width
        centre_y = (0.5 + 0.15 * _wave(n, 43)) * height
        return (
            (zoom, 0.0, centre_x - zoom * (x + face_width / 2)),
            (0.0, zoom, centre_y - zoom * (y + face_height / 2)),
        )


def portrait(name: str) -> np.ndarray:
    """Return one of the portraits in `FACES`: (height, width, 3), uint8, BGR."""
    jpeg = files("facefleet.vision").joinpath("samples", f"{name}.jpg").read_bytes()
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def _wave(n: int, period: int) -> float:
    """Return a sine wave between -1 and 1 with a period of `period` frames."""
    return float(np.sin(2 * np.pi * n / period))
