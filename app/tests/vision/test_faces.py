import io
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import cv2
import numpy as np
import pytest
from facefleet.exif import FaceInfo, NotAJpegError, read_exif
from facefleet.settings import ProcessorSettings
from facefleet.vision.detectors import Detection
from facefleet.vision.faces import crop_face, encode_face
from facefleet.vision.sample import Sample
from PIL import Image

CAPTURED = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
FRAME = Sample("hopper").frame(0)


DETECTION = Detection(200, 100, 100, 120, 0.93)


def encode(detection=DETECTION, captured=CAPTURED, **more):
    info = FaceInfo(
        device="edge-1",
        camera="front-door",
        captured=captured,
        box=detection.box,
        score=detection.score,
        detector="yunet",
        **more,
    )
    return encode_face(crop_face(FRAME, detection), info)


def test_what_is_written_is_read():
    info = FaceInfo(
        device="edge-1",
        camera="front-door",
        captured=CAPTURED,
        box=(200, 100, 100, 120),
        score=0.93,
        detector="yunet",
    )
    assert read_exif(encode()) == info
    of_visit = {
        "landmarks": ((230, 140), (270, 141), (250, 165), (235, 190), (266, 191)),
        "quality": 0.812,
        "visit": "1a2b3c4d",
        "candidates": 37,
    }
    assert read_exif(encode(**of_visit)) == replace(info, **of_visit)


@pytest.mark.parametrize(
    "more",
    [
        {"landmarks": ((1, 2, 3),)},
        {"landmarks": 7},
        {"quality": "fine"},
        {"visit": 7},
        {"candidates": "many"},
    ],
)
def test_exif_of_another_form_is_as_if_absent(more):
    assert read_exif(encode(**more)) == FaceInfo()


def test_another_time_zone_is_written_as_utc():
    there = CAPTURED.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert encode(captured=there) == encode()


def test_the_exif_is_what_other_programs_expect():
    exif = Image.open(io.BytesIO(encode())).getexif()
    details = exif.get_ifd(0x8769)
    assert {tag: exif[tag] for tag in (0x010F, 0x0110, 0x0131, 0x013C)} == {
        0x010F: "facefleet",  # Make
        0x0110: "front-door",  # Model
        0x0131: "yunet",  # Software
        0x013C: "edge-1",  # HostComputer
    }
    assert details == {
        0x9003: "2026:03:04 05:06:07",  # DateTimeOriginal
        0x9291: "000089",  # SubSecTimeOriginal
        0x9011: "+00:00",  # OffsetTimeOriginal
        0x9286: b'ASCII\0\0\0{"box":[200,100,100,120],"score":0.93}',  # UserComment
    }


def test_the_crop_is_gray_and_has_a_margin():
    picture = Image.open(io.BytesIO(encode()))
    assert (picture.mode, picture.size) == ("L", (140, 168))
    expected = cv2.cvtColor(FRAME[76:244, 180:320], cv2.COLOR_BGR2GRAY)
    assert np.abs(np.asarray(picture).astype(int) - expected).mean() < 4


@pytest.mark.parametrize(("width", "height"), [(4000, 3900), (6000, 300), (30, 4000)])
def test_a_close_up_is_one_that_a_processor_takes(width, height):
    # Black and white noise is the largest JPEG there is.
    frame = np.random.default_rng(0).integers(0, 2, (4000, 6000), dtype=np.uint8) * np.uint8(255)
    detection = Detection(0, 0, width, height, 0.9)
    info = FaceInfo("d" * 63, "c" * 63, CAPTURED, detection.box, detection.score, "yunet")
    jpeg = encode_face(crop_face(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), detection), info)
    assert len(jpeg) <= ProcessorSettings.model_fields["max_face_bytes"].default
    longer = max(Image.open(io.BytesIO(jpeg)).size)
    assert longer == 800
    assert read_exif(jpeg).box == (0, 0, width, height)


@pytest.mark.parametrize(
    ("x", "y", "size"), [(0, 0, (120, 144)), (540, 360, (120, 144)), (20, 24, (140, 168))]
)
def test_the_margin_ends_where_the_picture_ends(x, y, size):
    jpeg = encode(Detection(x, y, 100, 120, 0.9))
    assert Image.open(io.BytesIO(jpeg)).size == size
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED).shape == size[::-1]


@pytest.mark.parametrize("payload", [b"", b"\xff\xd8", b"GIF89a", b"not a picture", b"\0" * 100])
def test_what_is_no_jpeg_is_refused(payload):
    with pytest.raises(NotAJpegError, match="not a JPEG"):
        read_exif(payload)


@pytest.mark.filterwarnings("ignore::UserWarning")  # by which Pillow tells of a broken EXIF
def test_a_foreign_jpeg_says_nothing():
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Phone", "12"
    for extra in ({}, {"exif": exif}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01"}):
        out = io.BytesIO()
        Image.new("L", (8, 8)).save(out, "JPEG", **extra)
        assert read_exif(out.getvalue()) == FaceInfo()


@pytest.mark.filterwarnings("ignore::UserWarning")  # by which Pillow tells of a broken EXIF
def test_damage_raises_nothing_else():
    rng = random.Random(0)
    jpeg = encode()
    for _ in range(500):
        damaged = bytearray(jpeg)
        for _ in range(5):
            damaged[rng.randrange(400)] = rng.randrange(256)
        try:
            info = read_exif(bytes(damaged))
        except NotAJpegError:
            continue
        assert isinstance(info, FaceInfo)
