"""How a source is opened, and which way up its frames are."""

from dataclasses import dataclass

import cv2
import numpy as np

_TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a camera; the first two are for cameras of this machine only."""

    pixel_format: str | None = None
    """"MJPG" or "YUYV"; None for what the camera prefers."""
    resolution: str | None = None
    """Such as "1280x720"; None for what the camera prefers."""
    rotation: int = 0
    """Degrees by which frames are turned clockwise: 0, 90, 180 or 270."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels."""
        if self.resolution is None:
            return None
        width, _, height = self.resolution.partition("x")
        return int(width), int(height)

    @property
    def fourcc(self) -> int | None:
        """The pixel format as drivers name it."""
        return None if self.pixel_format is None else cv2.VideoWriter.fourcc(*self.pixel_format)

    def unmet(self, fourcc: int, size: tuple[int, int]) -> str | None:
        """Describe what a camera sends instead of what was asked for; None if it does as asked."""
        if self.fourcc in (None, fourcc) and self.size in (None, size):
            return None
        name = "".join(chr(fourcc >> shift & 0x7F) for shift in (0, 8, 16, 24))
        sent = f"{name if name.isprintable() else hex(fourcc)} in {size[0]}x{size[1]}"
        asked = " in ".join(part for part in (self.pixel_format, self.resolution) if part)
        return f"sends {sent}, not {asked}"


DEFAULT = Options()


def turned(image: np.ndarray, rotation: int) -> np.ndarray:
    """Return the image turned clockwise by 0, 90, 180 or 270 degrees."""
    return cv2.rotate(image, _TURNS[rotation]) if rotation else image
