import hashlib
import re
from importlib.resources import files

import cv2
import numpy as np
import pytest
from facefleet.vision.boxes import overlap
from facefleet.vision.detectors import load_detector
from facefleet.vision.errors import VisionError
from facefleet.vision.sample import FACES, Sample

MODELS = files("facefleet.vision") / "models"


@pytest.fixture(params=["haar", "yunet"])
def detector(request):
    return request.param


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_the_sample_is_found_and_nothing_else(detector, name, size):
    detect, sample = load_detector(detector, min_face=60), Sample(name, size)
    hits = misses = strays = 0
    for n in range(0, 300, 20):
        truth, found = sample.truth(n), detect(sample.frame(n))
        right = [truth is not None and overlap(one.box, truth) >= 0.4 for one in found]
        hits += any(right)
        strays += len(right) - any(right)
        misses += truth is not None and not any(right)
        for one in found:
            assert 0 <= one.x < one.x + one.width <= size[0]
            assert 0 <= one.y < one.y + one.height <= size[1]
            assert one.score > 0
    assert hits > 8
    assert misses <= 1
    assert strays == 0


def test_the_name_tells_the_detector(detector):
    assert load_detector(detector, min_face=60).name == detector


def test_yunet_tells_where_eyes_nose_and_mouth_are():
    sample = Sample("hopper")
    (face,) = load_detector("yunet", min_face=60)(sample.frame(0))
    x, y, width, height = sample.truth(0)
    eye, eye2, nose, corner, corner2 = (
        ((across - x) / width, (down - y) / height) for across, down in face.landmarks
    )
    assert (eye, eye2) == (
        pytest.approx((0.3, 0.38), abs=0.1),
        pytest.approx((0.72, 0.38), abs=0.1),
    )
    assert nose == pytest.approx((0.5, 0.6), abs=0.1)
    assert (corner, corner2) == (
        pytest.approx((0.33, 0.78), abs=0.1),
        pytest.approx((0.68, 0.78), abs=0.1),
    )
    (of_haar,) = load_detector("haar", min_face=60)(sample.frame(0))
    assert of_haar.landmarks is None


def test_faces_below_the_least_size_are_left_out(detector):
    sample = Sample("hopper")
    height = sample.truth(0)[3]
    assert load_detector(detector, min_face=height // 2)(sample.frame(0))
    assert not load_detector(detector, min_face=height * 5 // 4)(sample.frame(0))


def test_one_detector_takes_pictures_of_any_size(detector):
    detect = load_detector(detector, min_face=40)
    large = Sample("hopper", (800, 600)).frame(0)
    assert detect(large)
    assert detect(np.zeros((3, 5, 3), np.uint8)) == []
    assert detect(large)


def test_a_face_at_the_edge_has_its_box_inside(detector):
    sample = Sample("hopper")
    x, y, width, height = sample.truth(0)
    cut = sample.frame(0)[y + height // 12 :, : x + width * 9 // 10]
    cut = cv2.copyMakeBorder(cut, 0, 20, 20, 0, cv2.BORDER_REPLICATE)
    for one in load_detector(detector, min_face=60)(cut):
        assert one.y >= 0
        assert one.x + one.width <= cut.shape[1]


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(VisionError, match=r"There is no model at .*gone\.onnx"):
        load_detector("yunet", 60, tmp_path / "gone.onnx")


def test_a_file_that_is_no_model_is_named(tmp_path):
    (tmp_path / "poem.onnx").write_text("Shall I compare thee to a summer's day?")
    with pytest.raises(VisionError, match=r"poem\.onnx is not a YuNet model"):
        load_detector("yunet", 60, tmp_path / "poem.onnx")


def test_a_model_of_ones_own_is_used(tmp_path):
    own = tmp_path / "own.onnx"
    own.write_bytes((MODELS / "face_detection_yunet_2023mar.onnx").read_bytes())
    image = Sample("hopper").frame(0)
    assert load_detector("yunet", 60, own)(image) == load_detector("yunet", 60)(image) != []


def test_the_model_is_the_one_whose_source_is_named():
    sources = (MODELS / "SOURCES.md").read_text()
    (named,) = re.findall(r"`(\w+\.onnx)`, ([\d,]+) bytes", sources)
    content = (MODELS / named[0]).read_bytes()
    assert len(content) == int(named[1].replace(",", ""))
    assert f"`{hashlib.sha256(content).hexdigest()}`" in sources
    assert [file.name for file in MODELS.iterdir() if file.suffix == ".onnx"] == [named[0]]
