import numpy as np
import pytest
from facefleet.vision.errors import CameraError
from facefleet.vision.sample import FACES, Sample


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_a_frame_is_the_same_each_time_and_unlike_the_next(name, size):
    one, other = Sample(name, size), Sample(name, size)
    assert one.frame(7).shape == (size[1], size[0], 3)
    assert one.frame(7).dtype == np.uint8
    assert np.array_equal(one.frame(7), other.frame(7))
    assert not np.array_equal(one.frame(7), one.frame(8))


def test_reading_plays_the_frames_in_order():
    sample = Sample("hopper")
    for n in range(3):
        assert np.array_equal(sample.read(), sample.frame(n))


@pytest.mark.parametrize("name", FACES)
def test_the_face_is_mostly_there_in_view_and_sometimes_away(name):
    sample = Sample(name)
    truths = [sample.truth(n) for n in range(600)]
    there = [box for box in truths if box is not None]
    assert 0.75 < len(there) / len(truths) < 0.95
    for x, y, width, height in there:
        assert x >= 0
        assert y >= 0
        assert x + width <= 640
        assert y + height <= 480
        assert height >= 60


def test_the_light_changes_and_the_picture_is_noisy():
    sample = Sample("astronaut")
    lights = [sample.frame(n).mean() for n in range(0, 83, 4)]
    assert max(lights) > 1.5 * min(lights)
    away = next(n for n in range(150) if sample.truth(n) is None) + 8
    assert sample.frame(away)[:40, :40].std() > 5  # a plain wall


def test_an_unknown_sample_is_refused_with_the_known_ones():
    with pytest.raises(CameraError, match="'nobody': use sample:astronaut or sample:hopper"):
        Sample("nobody")
