"""Which frames are searched: all while something moves or a face is in view, else one a second."""

import numpy as np
import pytest
from facefleet.vision.attention import INTERVAL, LINGER, Attention
from facefleet.vision.tracker import LOST

FRAME = np.zeros((9, 16, 3), np.uint8)


class Scene:
    """Something moves as long as `moves`."""

    def __init__(self) -> None:
        self.moves = False
        self.attention = Attention(self)

    def moved(self, _image: np.ndarray, _now: float) -> bool:
        return self.moves

    def searched(self, begin: float, end: float, fps: float, cut: bool = False) -> list[float]:
        """The seconds of the frames that are searched."""
        seconds = [n / fps for n in range(round(begin * fps), round(end * fps))]
        return [now for now in seconds if self.attention.wants(FRAME, cut=cut, now=now)]


def test_a_quiet_scene_is_searched_every_second() -> None:
    assert Scene().searched(0, 10, fps=10) == list(range(10))


@pytest.mark.parametrize("fps", [0.1, 0.5, 1])
def test_a_slow_camera_is_searched_in_full(fps: float) -> None:
    assert len(Scene().searched(0, 100, fps)) == 100 * fps


def test_pictures_of_their_own_are_all_searched() -> None:
    assert len(Scene().searched(0, 10, fps=10, cut=True)) == 100


def test_what_moves_is_searched_and_a_while_longer() -> None:
    scene = Scene()
    scene.searched(0, 5.5, fps=10)
    scene.moves = True
    assert len(scene.searched(5.5, 30, fps=10)) == 245
    scene.moves = False
    after = scene.searched(30, 40, fps=10)
    still = [now for now in after if now > 29.9 + LINGER]
    assert len(after) - len(still) >= LINGER / 2 * 10
    assert np.diff(still).min() >= INTERVAL


def test_a_face_that_stands_still_is_searched_in_each_frame_until_its_visit_has_ended() -> None:
    scene = Scene()
    (first,) = scene.searched(0, 1, fps=10)
    scene.attention.saw_face(first)
    for n in range(1, 50):
        assert scene.attention.wants(FRAME, cut=False, now=n / 10)
        scene.attention.saw_face(n / 10)
    gone = scene.searched(5, 5 + LINGER, fps=10)
    assert len(gone) >= LOST * 10 + 1
    assert len(scene.searched(5 + LINGER, 15, fps=10)) <= 10
