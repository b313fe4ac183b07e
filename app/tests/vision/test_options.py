"""What a camera is asked for, and which way up its frames are.

There is no V4L2 camera in a test: a film is opened in its place. OpenCV refuses to change a film's
format, as the driver of a camera may.
"""

import threading
from contextlib import closing

import cv2
import numpy as np
import pytest
from facefleet.vision.capture import DeviceSource
from facefleet.vision.errors import CameraError
from facefleet.vision.feed import Feed
from facefleet.vision.options import Options, turned

from support.camera import write_video

MJPG, YUYV = (cv2.VideoWriter.fourcc(*name) for name in ("MJPG", "YUYV"))


@pytest.mark.parametrize(
    ("options", "fourcc", "size", "sentence"),
    [
        (Options(), YUYV, (640, 480), None),
        (Options("MJPG", "1280x720"), MJPG, (1280, 720), None),
        (Options("MJPG"), MJPG, (640, 480), None),
        (
            Options("MJPG", "1280x720"),
            MJPG,
            (640, 480),
            "sends MJPG in 640x480, not MJPG in 1280x720",
        ),
        (Options("MJPG"), YUYV, (640, 480), "sends YUYV in 640x480, not MJPG"),
        (Options(None, "720x1280"), MJPG, (1280, 720), "sends MJPG in 1280x720, not 720x1280"),
        (Options("YUYV"), 0, (640, 480), "sends 0x0 in 640x480, not YUYV"),
    ],
)
def test_what_a_camera_sends_instead_is_said(options, fourcc, size, sentence):
    assert options.unmet(fourcc, size) == sentence


@pytest.fixture
def asked(monkeypatch):
    """What is asked of the camera that is opened."""
    found = []

    class Asked:
        def __init__(self, *arguments, real=cv2.VideoCapture):
            self._real = real(*arguments)

        def set(self, name, value):
            found.append((name, value))
            return self._real.set(name, value)

        def __getattr__(self, name):
            return getattr(self._real, name)

    monkeypatch.setattr(cv2, "VideoCapture", Asked)
    monkeypatch.setattr(cv2, "CAP_V4L2", cv2.CAP_FFMPEG)
    return found


def test_a_camera_is_asked_first_for_its_format_and_then_for_its_size(tmp_path, asked):
    film = str(write_video(tmp_path / "film.avi"))
    with closing(DeviceSource(film, Options("MJPG", "64x48"))) as camera:
        assert camera.read().shape == (48, 64, 3)
    assert asked == [
        (cv2.CAP_PROP_BUFFERSIZE, 1),
        (cv2.CAP_PROP_FOURCC, MJPG),
        (cv2.CAP_PROP_FRAME_WIDTH, 64),
        (cv2.CAP_PROP_FRAME_HEIGHT, 48),
    ]
    asked.clear()
    with closing(DeviceSource(film, Options())):
        assert asked == [(cv2.CAP_PROP_BUFFERSIZE, 1)]


def test_a_camera_that_sends_something_else_is_named(tmp_path, asked):
    film = str(write_video(tmp_path / "film.avi"))
    with pytest.raises(CameraError) as caught:
        DeviceSource(film, Options("YUYV", "1280x720"))
    assert str(caught.value) == (
        f"The camera {film} sends MJPG in 64x48, not YUYV in 1280x720: choose a pixel_format and a "
        "resolution that `v4l2-ctl --list-formats-ext` lists."
    )


def test_an_image_is_turned_clockwise():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0] = 255  # top left
    corners = {0: (0, 0), 90: (0, -1), 180: (-1, -1), 270: (-1, 0)}
    for rotation, corner in corners.items():
        result = turned(image, rotation)
        assert result.shape[:2] == ((2, 3) if rotation in (0, 180) else (3, 2))
        assert (result[corner] == 255).all()


def test_frames_come_turned(tmp_path):
    feed = Feed(str(write_video(tmp_path / "film.avi")), Options(rotation=90))
    try:
        assert feed.next(threading.Event()).shape == (64, 48, 3)
    finally:
        feed.close()
