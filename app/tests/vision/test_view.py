"""What a camera's view is said to be, and what it must not be said to be."""

import copy
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from facefleet.views import REMEDIES, View
from facefleet.vision import scene
from facefleet.vision.sample import Sample
from facefleet.vision.view import LEARNING, ONSET, RECOVERY, ViewJudge

WIDTH, HEIGHT = 320, 180
STEP = 2.0  # seconds between the frames of these tests

Edit = Callable[[np.ndarray], np.ndarray]


def room(seed: int = 1, things: int = 14) -> np.ndarray:
    """A wall with things before it, gray, float32."""
    random = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH), 150, np.float32) + np.linspace(-30, 30, WIDTH, dtype="f4")
    for _ in range(things):
        x, y = random.integers(0, (WIDTH, HEIGHT))
        width, height = random.integers(10, 80, 2)
        gray = float(random.integers(20, 230))
        cv2.rectangle(image, (int(x), int(y)), (int(x + width), int(y + height)), gray, -1)
    return cv2.GaussianBlur(image, (0, 0), 0.8)


def photo(name: str) -> np.ndarray:
    """A photograph full of detail."""
    gray = cv2.cvtColor(Sample(name).frame(0), cv2.COLOR_BGR2GRAY)
    return cv2.resize(gray, (WIDTH, HEIGHT)).astype(np.float32)


SCENES = {"room": room(), "portrait": photo("hopper")}
NOISE = np.random.default_rng(0).normal(0, 1, (HEIGHT + 50, WIDTH + 50)).astype(np.float32)


class Watched:
    """A camera before a scene, with a clock of its own."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.judge = ViewJudge()
        self.now = 0.0
        self.frames = 0
        self.said: list[View] = []  # each change

    def watch(self, seconds: float, edit: Edit = lambda image: image, noise: float = 4) -> View:
        """Look for some seconds at the scene as changed by `edit`. Return the last verdict."""
        until = self.now + seconds
        while self.now < until:
            self.now += STEP
            self.frames += 1
            self.show(edit(self.image), noise)
        return self.judge.view

    def show(self, image: np.ndarray, noise: float) -> None:
        top, left = np.random.default_rng(self.frames).integers(50, size=2)
        tile = NOISE[top : top + HEIGHT, left : left + WIDTH]
        frame = (image + noise * tile).clip(0, 255).astype(np.uint8)
        if self.judge.look(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), self.now):
            self.said.append(self.judge.view)


@pytest.fixture(params=SCENES)
def camera(request: pytest.FixtureRequest) -> Watched:
    return Watched(SCENES[request.param])


@pytest.fixture(scope="module", params=SCENES)
def learned(request: pytest.FixtureRequest) -> Watched:
    camera = Watched(SCENES[request.param])
    assert camera.watch(LEARNING + 40) is View.GOOD
    return camera


@pytest.fixture
def known(learned: Watched) -> Watched:
    """A camera that knows its usual view."""
    return copy.deepcopy(learned)


def black(image: np.ndarray) -> np.ndarray:
    return image * 0


def hand(image: np.ndarray) -> np.ndarray:
    """Light shines through at one side."""
    return np.broadcast_to(np.linspace(20, 120, WIDTH, dtype="f4"), image.shape)


def moved(right: float, down: float) -> Edit:
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return lambda image: cv2.warpAffine(
        image, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT
    )


def blurred(sigma: float) -> Edit:
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma)


def truck(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[HEIGHT // 6 :, WIDTH // 4 :] = 65
    image[HEIGHT // 2 :: 20, WIDTH // 4 :] = 140
    return image


@pytest.mark.parametrize(
    ("edit", "view"),
    [
        (black, View.DARK),
        (lambda image: image * 0.03, View.DARK),
        (hand, View.COVERED),
        (lambda image: image * 0 + 230, View.COVERED),
        (lambda image: image * 0 + 60, View.COVERED),
    ],
)
def test_a_camera_that_sees_nothing_is_told_and_so_is_its_return(
    camera: Watched, edit: Edit, view: View
) -> None:
    assert camera.watch(20) is View.GOOD
    assert camera.watch(ONSET[view] - STEP, edit) is View.GOOD
    assert camera.watch(2 * STEP, edit) is view
    assert camera.watch(RECOVERY - STEP) is view
    assert camera.watch(3 * STEP) is View.GOOD
    assert camera.said == [view, View.GOOD]


def test_a_camera_that_starts_in_the_dark_is_told() -> None:
    camera = Watched(room())
    assert camera.watch(ONSET[View.DARK] + 2 * STEP, black) is View.DARK


def test_a_frozen_picture_is_told(camera: Watched) -> None:
    assert camera.watch(20) is View.GOOD
    assert camera.watch(ONSET[View.FROZEN], noise=0) is View.GOOD
    assert camera.watch(2 * STEP, noise=0) is View.FROZEN
    assert camera.watch(RECOVERY + 2 * STEP) is View.GOOD


def test_a_plain_picture_without_any_noise_is_frozen_rather_than_covered() -> None:
    camera = Watched(room())
    assert camera.watch(ONSET[View.FROZEN] + 3 * STEP, lambda image: image * 0 + 128, 0) is (
        View.FROZEN
    )


@pytest.mark.parametrize("noise", [0.3, 4, 12])
def test_an_empty_room_is_good(camera: Watched, noise: float) -> None:
    assert camera.watch(LEARNING + 300, noise=noise) is View.GOOD
    assert camera.said == []


def test_a_quiet_scene_that_is_sent_unchanged_for_a_while_is_not_frozen(camera: Watched) -> None:
    for _ in range(5):
        camera.watch(ONSET[View.FROZEN] - 10, noise=0)
        camera.watch(STEP)
    assert camera.said == []


def test_a_stream_that_was_interrupted_was_not_frozen_meanwhile(camera: Watched) -> None:
    camera.watch(20, noise=0)
    camera.now += 3600
    camera.judge.restarted()
    assert camera.watch(20, noise=0) is View.GOOD


def test_a_stream_that_was_interrupted_was_not_dark_meanwhile(camera: Watched) -> None:
    camera.watch(ONSET[View.DARK] - STEP, black)
    camera.now += 3600
    camera.judge.restarted()
    assert camera.watch(ONSET[View.DARK] - STEP, black) is View.GOOD


@pytest.mark.parametrize("shift", [(16, 0), (0, -14), (60, 25), (-90, 0)])
def test_a_camera_that_was_turned_is_told(known: Watched, shift: tuple[int, int]) -> None:
    assert known.watch(ONSET[View.SHIFTED] - 10, moved(*shift)) is View.GOOD
    assert known.watch(120, moved(*shift)) is View.SHIFTED
    assert known.watch(120) is View.GOOD
    assert known.said == [View.SHIFTED, View.GOOD]


def test_a_camera_that_looks_elsewhere_is_told(known: Watched) -> None:
    assert known.watch(scene.STRANGE - 60, lambda _: room(7)) is View.GOOD
    assert known.watch(ONSET[View.SHIFTED] + 180, lambda _: room(7)) is View.SHIFTED


def test_another_usual_view_is_learned_only_after_a_restart(known: Watched) -> None:
    known.watch(300, moved(60, 25))
    assert known.judge.view is View.SHIFTED
    known.judge = ViewJudge()
    assert known.watch(LEARNING + 300, moved(60, 25)) is View.GOOD


@pytest.mark.parametrize("sigma", [8, 14])
def test_a_lens_out_of_focus_is_told(known: Watched, sigma: float) -> None:
    assert known.watch(ONSET[View.BLURRED] - 10, blurred(sigma)) is View.GOOD
    assert known.watch(20, blurred(sigma)) is View.BLURRED
    assert known.watch(20) is View.GOOD


LAMP = 0.3 + np.exp(-(((np.arange(WIDTH) - 80) / 90) ** 2)).astype(np.float32)


@pytest.mark.parametrize(
    "edit",
    [
        lambda image: image * 0.4,
        lambda image: image * 0.12,
        lambda image: 255 * (image / 255) ** 0.5,
        lambda image: image * LAMP,
        lambda image: (image * 1.6).clip(0, 255),
        moved(3, 2),
        blurred(1.5),
    ],
    ids=["dusk", "night", "bright", "lamp", "sun", "wind", "slightly-soft"],
)
def test_other_light_wind_and_a_soft_lens_are_no_fault(known: Watched, edit: Edit) -> None:
    known.watch(360, edit)
    assert known.said == []


def test_lights_off_is_dark_and_nothing_else(known: Watched) -> None:
    for _ in range(3):
        assert known.watch(300, black, noise=6) is View.DARK
        assert known.watch(60) is View.GOOD
    assert set(known.said) == {View.DARK, View.GOOD}


def test_a_light_that_flickers_is_not_told(known: Watched) -> None:
    for _ in range(20):
        known.watch(ONSET[View.DARK] - STEP, black)
        known.watch(STEP)
    assert known.said == []


def test_a_truck_that_stands_before_the_camera_is_no_fault(known: Watched) -> None:
    assert known.watch(300, truck) is View.GOOD
    assert known.watch(60) is View.GOOD
    assert known.said == []


def test_somebody_very_near_is_no_fault(known: Watched) -> None:
    face = cv2.resize(photo("astronaut")[20:140, 100:260], (WIDTH, HEIGHT))

    def near(image: np.ndarray) -> np.ndarray:
        return moved(10 * np.sin(known.now), 5 * np.cos(known.now))(face)

    known.watch(240, near)
    known.watch(60)
    assert known.said == []


def test_a_view_is_judged_once_a_second(camera: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(camera.judge, "_judge", lambda image, now: looks.append(now) or {})
    for _ in range(50):
        camera.now += 0.1
        camera.show(camera.image, 1)
    assert len(looks) == 5


@pytest.mark.parametrize(("width", "height"), [(16, 16), (480, 640), (1920, 1080)])
def test_every_size_of_frame_is_judged(width: int, height: int) -> None:
    judge = ViewJudge()
    random = np.random.default_rng(1)
    for second in range(12):
        noise = random.integers(0, 5, (height, width, 3), dtype=np.uint8)
        judge.look(noise, second)
    assert judge.view is View.DARK


def test_each_bad_view_has_a_remedy() -> None:
    assert set(REMEDIES) == set(View) - {View.GOOD}
