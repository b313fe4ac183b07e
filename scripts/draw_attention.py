"""Draw docs/attention.jpg: regions of a view, and what is stored of a face (docs/attention.md).

Run with the app's Python: .venv/bin/python scripts/draw_attention.py
"""

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from facefleet.regions import Regions
from facefleet.vision.boxes import centre
from facefleet.vision.detectors import load_detector
from facefleet.vision.faces import Encoding, cut_face
from facefleet.vision.sample import FACES, portrait

WIDTH, HEIGHT = 960, 420
INCLUDE = ((0.05, 0.25), (0.6, 0.1), (0.95, 0.3), (0.95, 1), (0.05, 1))  # as on the page
EXCLUDE = ((0.62, 0.3), (0.9, 0.3), (0.9, 0.95), (0.62, 0.95))
GREEN, RED = (60, 180, 60), (60, 60, 220)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
PEOPLE = (("astronaut", 0.28, 0.55, 120), ("hopper", 0.47, 0.6, 130), ("hopper", 0.76, 0.6, 100))
TILE = 210  # pixels


def view() -> np.ndarray:
    """Return a wall with the portraits before it."""
    rng = np.random.default_rng(0)
    wall = rng.integers(90, 150, (4, 6, 3), dtype=np.uint8)
    image = cv2.resize(wall, (WIDTH - TILE, HEIGHT))
    height, width = image.shape[:2]
    for name, x, y, tall in PEOPLE:
        photo = portrait(name)
        left, top, wide, high = FACES[name]
        zoom = tall / high
        shift = np.array(
            [
                [zoom, 0, x * width - zoom * (left + wide / 2)],
                [0, zoom, y * height - zoom * (top + high / 2)],
            ]
        )
        mask = np.zeros(photo.shape[:2], np.float32)
        middle = (left + wide // 2, top + high // 2)
        cv2.ellipse(mask, middle, (int(0.8 * wide), int(0.85 * high)), 0, 0, 360, 1.0, -1)
        alpha = cv2.warpAffine(mask, shift, (width, height))[..., None]
        person = cv2.warpAffine(photo, shift, (width, height))
        image = (image * (1 - alpha) + person * alpha).astype(np.uint8)
    return image


def outline(image: np.ndarray, polygon: tuple, color: tuple[int, int, int]) -> None:
    height, width = image.shape[:2]
    points = np.array([(x * width, y * height) for x, y in polygon], np.int32)
    filled = image.copy()
    cv2.fillPoly(filled, [points], color)
    cv2.addWeighted(filled, 0.2, image, 0.8, 0, dst=image)
    cv2.polylines(image, [points], True, color, 2, cv2.LINE_AA)


def write(image: np.ndarray, text: str, at: tuple[int, int]) -> None:
    for color, thickness in ((BLACK, 4), (WHITE, 1)):
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, color, thickness, cv2.LINE_AA)


def main() -> None:
    image = view()
    height, width = image.shape[:2]
    found = load_detector("yunet", 60)(image)
    regions = Regions([INCLUDE], [EXCLUDE])
    counting = [
        one
        for one in found
        if regions.count(centre(one.box)[0] / width, centre(one.box)[1] / height)
    ]
    crops = [
        cut_face(image, counting[0], datetime.now(UTC), Encoding(True, faces_only=only), found).crop
        for only in (False, True)
    ]
    drawn = image.copy()
    outline(drawn, INCLUDE, GREEN)
    outline(drawn, EXCLUDE, RED)
    for one in found:
        x, y, wide, high = one.box
        color = GREEN if one in counting else RED
        cv2.rectangle(drawn, (x, y), (x + wide, y + high), color, 2)
        write(drawn, "counts" if one in counting else "does not count", (x - 10, y + high + 22))
    write(drawn, "include", (60, 400))
    write(drawn, "exclude", (480, 390))
    beside = np.full((height, TILE, 3), 255, np.uint8)
    for n, (crop, text) in enumerate(zip(crops, ("stored", "faces_only: true"), strict=True)):
        zoom = 160 / (1.4 * counting[0].height)
        small = cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
        top = 30 + n * height // 2
        beside[top : top + small.shape[0], 20 : 20 + small.shape[1]] = small
        write(beside, text, (20, top - 10))
    path = Path(__file__).parents[1] / "docs/attention.jpg"
    cv2.imwrite(str(path), np.hstack((drawn, beside)), [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
