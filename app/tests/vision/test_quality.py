"""What makes a picture of a face worse makes its quality lower."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from facefleet.vision.detectors import Detection, load_detector
from facefleet.vision.quality import quality
from facefleet.vision.sample import FACES, Sample
from facefleet.vision.visits import GOOD


@pytest.fixture(params=FACES)
def seen(request):
    """A frame and the face in it."""
    image = Sample(request.param).frame(0)
    (face,) = load_detector("yunet", 60)(image)
    return image, face


def test_a_good_picture_is_good(seen):
    assert quality(*seen) > 0.85


@pytest.mark.parametrize("blur", [4, 8])
def test_a_blurred_face_is_worse(seen, blur):
    image, face = seen
    assert quality(cv2.GaussianBlur(image, (0, 0), blur), face) < GOOD


@pytest.mark.parametrize(("gain", "offset"), [(0.12, 0), (0.2, 215)])
def test_a_dark_or_glaring_face_is_worse(seen, gain, offset):
    image, face = seen
    changed = (image * gain + offset).clip(0, 255).astype(np.uint8)
    assert quality(changed, face) < GOOD < quality(image, face)


def test_noise_is_no_sharpness(seen):
    image, face = seen
    blurred = cv2.GaussianBlur(image, (0, 0), 6)
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    assert quality((blurred + noise).clip(0, 255).astype(np.uint8), face) < GOOD


def test_a_face_that_is_turned_away_is_worse(seen):
    image, face = seen
    left_eye, right_eye, nose, *mouth = face.landmarks
    before = quality(image, face)
    for share, most in ((0.25, 0.8), (0.5, 0.4), (1.0, 0.0)):
        towards = tuple(
            round(middle + 2 * share * (eye - middle))
            for middle, eye in zip(nose, right_eye, strict=True)
        )
        turned = replace(face, landmarks=(left_eye, right_eye, towards, *mouth))
        assert quality(image, turned) <= most * before + 0.1


def test_a_tilted_head_is_no_turned_one(seen):
    image, face = seen
    x, y = face.x + face.width / 2, face.y + face.height / 2
    turn = cv2.getRotationMatrix2D((x, y), 25, 1)
    tilted = [tuple((turn @ (*point, 1)).round().astype(int)) for point in face.landmarks]
    expected = pytest.approx(quality(image, face), abs=0.05)
    assert quality(image, replace(face, landmarks=tuple(tilted))) == expected


def test_a_face_at_the_edge_is_cut_off(seen):
    image, face = seen
    for cut in (
        image[:, face.x + 1 :],
        image[face.y + 1 :],
        image[:, : face.x + face.width],
        image[: face.y + face.height],
    ):
        assert quality(cut, _inside(face, image, cut)) < GOOD


def _inside(face: Detection, image: np.ndarray, cut: np.ndarray) -> Detection:
    """The face's box in a part of its frame."""
    y, x = divmod((cut.ctypes.data - image.ctypes.data) // 3, image.shape[1])
    left, top = max(0, face.x - x), max(0, face.y - y)
    return replace(
        face,
        x=left,
        y=top,
        width=min(face.x - x + face.width, cut.shape[1]) - left,
        height=min(face.y - y + face.height, cut.shape[0]) - top,
    )


def test_a_small_face_is_worse(seen):
    image, face = seen
    small = cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    box = (round(0.4 * side) for side in face.box)
    points = tuple((round(0.4 * x), round(0.4 * y)) for x, y in face.landmarks)
    assert quality(small, Detection(*box, face.score, points)) < 0.85 * quality(image, face)


@pytest.mark.parametrize(
    "face",
    [
        Detection(0, 0, 0, 0, 1.0),
        Detection(700, 0, 90, 90, 1.0),
        Detection(10, 10, 90, 90, 1.0, ((5, 5),) * 5),
    ],
)
def test_what_cannot_be_rated_is_worst(face):
    assert quality(Sample("hopper").frame(0), face) == 0.0


def test_a_plain_wall_is_no_sharp_face():
    assert quality(np.full((480, 640, 3), 120, np.uint8), Detection(50, 50, 90, 90, 1.0)) == 0.0
