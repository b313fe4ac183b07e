"""What moves is noticed; noise and changing light are not."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from facefleet.regions import EVERYWHERE, Regions
from facefleet.vision.motion import Motion
from facefleet.vision.sample import FACES, Sample

WIDTH, HEIGHT = SIZE = (1280, 720)
FPS = 5


class Room:
    """A camera's frames of a room, as dark as wanted, with the noise of a sensor."""

    def __init__(self, brightness: float = 1.0, noise: float = 6.0, size=SIZE) -> None:
        rng = np.random.default_rng(0)
        width, height = size
        wall = rng.integers(60, 120, (6, 8, 3), dtype=np.uint8)
        self.wall = (cv2.resize(wall, size) * brightness).astype(np.uint8)
        tile = rng.normal(128, noise, (height + 64, width + 64, 3))
        self._noise = tile.clip(0, 255).astype(np.uint8)
        self._rng = rng
        self._size = size

    def frame(self, image: np.ndarray | None = None, light: float = 1.0) -> np.ndarray:
        left, top = self._rng.integers(64, size=2)
        noise = self._noise[top : top + self._size[1], left : left + self._size[0]]
        return cv2.addWeighted(self.wall if image is None else image, light, noise, 1.0, -128.0)


def moved(motion: Motion, frames: Iterator[np.ndarray], begin: float = 0) -> list[bool]:
    return [motion.moved(frame, begin + n / FPS) for n, frame in enumerate(frames)]


def settled(room: Room, min_face: int = 60, regions: Regions = EVERYWHERE) -> Motion:
    """A motion detector that has seen the room for four seconds."""
    motion = Motion(min_face, regions)
    first, *others = moved(motion, (room.frame() for _ in range(20)))
    assert first
    assert not any(others[-10:])
    return motion


@pytest.fixture(scope="module")
def faces() -> dict[str, np.ndarray]:
    """The portraits' faces, 60 pixels high."""
    found = {}
    for name in FACES:
        sample = Sample(name)
        x, y, width, height = FACES[name]
        face = sample._photo[y : y + height, x : x + width]
        found[name] = cv2.resize(
            face, (round(60 * width / height), 60), interpolation=cv2.INTER_AREA
        )
    return found


@pytest.mark.parametrize("brightness", [1.0, 0.2, 0.05])
@pytest.mark.parametrize("noise", [0, 6, 20])
def test_noise_is_no_movement(brightness: float, noise: float) -> None:
    settled(Room(brightness, noise))


def test_light_that_changes_is_no_movement() -> None:
    room = Room()
    motion = settled(room)
    lights = 1 + 0.4 * np.sin(np.arange(40) / FPS)
    assert not any(moved(motion, (room.frame(light=float(light)) for light in lights), 4))


def test_bands_of_the_mains_are_no_movement_in_the_long_run() -> None:
    room, motion = Room(), Motion(60)
    rows = np.sin(np.arange(HEIGHT) / 100)[:, None, None]
    bands = [
        (room.wall * (1 + 0.04 * np.roll(rows, 200 * n, 0))).astype(np.uint8) for n in range(5)
    ]
    found = moved(motion, (room.frame(bands[n % 5]) for n in range(50)))
    assert sum(found[25:]) <= 2


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize(("brightness", "noise"), [(1.0, 0), (1.0, 20), (0.33, 12)])
def test_a_small_face_that_enters_is_movement(
    faces: dict[str, np.ndarray], name: str, noise: float, brightness: float
) -> None:
    room = Room(brightness, noise)
    motion = settled(room)
    image = room.wall.copy()
    face = (faces[name] * brightness).astype(np.uint8)
    height, width = face.shape[:2]
    image[300 : 300 + height, 207 : 207 + width] = face
    assert motion.moved(room.frame(image), 4)


@pytest.mark.parametrize(
    ("size", "min_face"),
    [((160, 120), 16), ((640, 480), 60), ((1920, 1080), 60), ((1280, 720), 400)],
)
def test_a_face_of_the_smallest_size_is_movement_in_any_resolution(
    size: tuple[int, int], min_face: int
) -> None:
    room = Room(noise=3, size=size)
    motion = settled(room, min_face)
    image = room.wall.copy()
    left, top = (side // 3 for side in size)
    image[top : top + min_face, left : left + min_face * 3 // 4] = 200
    assert motion.moved(room.frame(image), 4)


def test_movement_counts_only_where_faces_do() -> None:
    left = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    for regions in (Regions(include=[left]), Regions(exclude=[left])):
        found = {}
        for side, x in {"left": 100, "right": 300}.items():
            room = Room(size=(420, 240))
            motion = settled(room, regions=regions)
            image = room.wall.copy()
            image[100:160, x : x + 60] = 200
            found[side] = motion.moved(room.frame(image), 4)
        counts = "left" if regions.include else "right"
        assert found == {side: side == counts for side in found}


def test_what_stays_becomes_background() -> None:
    room = Room()
    motion = settled(room)
    image = room.wall.copy()
    image[200:500, 300:500] = 200
    found = moved(motion, (room.frame(image) for _ in range(40)), 4)
    assert all(found[:5])
    assert not any(found[-20:])
    assert motion.moved(room.frame(), 12)  # it is taken away


def test_another_size_is_movement() -> None:
    motion = settled(Room(size=(640, 480)))
    for size in ((320, 240), (3, 2)):
        assert motion.moved(Room(size=size).frame(), 4)
