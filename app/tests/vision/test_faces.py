import io
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import cv2
import numpy as np
import pytest
from facefleet.exif import FaceInfo, NotAJpegError, read_exif
from facefleet.settings import DetectorSettings, ProcessorSettings
from facefleet.vision.detectors import Detection
from facefleet.vision.faces import (
    BEST_QUALITY,
    DEFAULT,
    LARGEST,
    Encoding,
    crop_face,
    cut_face,
    encode_face,
)
from facefleet.vision.sample import Sample
from PIL import Image

CAPTURED = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
FRAME = Sample("hopper").frame(0)


DETECTION = Detection(200, 100, 100, 120, 0.93)
INFO = FaceInfo("edge-1", "front", CAPTURED, DETECTION.box, DETECTION.score, "yunet")


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


def test_with_faces_only_nothing_around_the_face_is_kept():
    image = np.full((400, 600, 3), 255, np.uint8)
    image[100:220, 200:300] = 90
    crop = crop_face(image, DETECTION, Encoding(faces_only=True))
    assert crop.shape == (120, 100)
    assert (crop == 90).all()


@pytest.mark.parametrize("color", [False, True])
def test_with_faces_only_no_part_of_another_face_is_kept(color):
    image = np.full((400, 600, 3), 90, np.uint8)
    beside = replace(DETECTION, x=280)
    within = replace(DETECTION, x=210, y=110, width=20, height=24)
    apart = replace(DETECTION, x=400)
    faces = [DETECTION, beside, within, apart]
    shown = np.zeros((len(faces), 400, 600), bool)
    for n, face in enumerate(faces):
        crop = crop_face(image, face, Encoding(color, faces_only=True), faces)
        kept = (crop.max(-1) if color else crop) > 0
        shown[n, face.y : face.y + face.height, face.x : face.x + face.width] = kept
        assert kept[face.height // 2, face.width // 2]
    assert shown.sum(0).max() == 1  # nothing is in two pictures
    assert shown.any(0).sum() > 0.99 * (180 * 120 + 100 * 120)
    assert shown[0, 100:220, 200:290].mean() > 0.9
    assert (image == 90).all()


def test_the_defaults_and_limits_are_those_of_the_settings():
    color, size, quality = (
        DetectorSettings.model_fields[name] for name in ("color", "max_face_size", "jpeg_quality")
    )
    assert Encoding(color.default == "color", size.default, quality.default) == DEFAULT
    limits = [bound.le for field in (size, quality) for bound in field.metadata[1:]]
    assert limits == [LARGEST, BEST_QUALITY]


def test_a_color_face_has_the_same_exif_and_the_color_of_the_frame():
    color = cut_face(FRAME, DETECTION, CAPTURED, Encoding(color=True))
    gray = cut_face(FRAME, DETECTION, CAPTURED)
    whole = [one.encode("edge-1", "front", "yunet", "1a2b3c4d", 37) for one in (color, gray)]
    assert read_exif(whole[0]) == read_exif(whole[1]) != FaceInfo()
    picture = Image.open(io.BytesIO(whole[0]))
    assert (picture.mode, picture.size) == ("RGB", (140, 168))
    expected = cv2.cvtColor(FRAME[76:244, 180:320], cv2.COLOR_BGR2RGB)
    channels = [np.asarray(image).reshape(-1, 3).mean(axis=0) for image in (picture, expected)]
    assert channels[0] == pytest.approx(channels[1], abs=2)
    assert max(channels[0]) - min(channels[0]) > 10
    assert not np.shares_memory(color.crop, FRAME)


def test_size_and_quality_are_as_asked():
    by_quality = [
        len(encode_face(crop_face(FRAME, DETECTION, encoding), INFO, encoding))
        for encoding in (Encoding(quality=30), Encoding(quality=75), DEFAULT)
    ]
    assert by_quality == sorted(set(by_quality))
    small = Encoding(color=True, longest=64)
    jpeg = encode_face(crop_face(FRAME, DETECTION, small), INFO, small)
    assert Image.open(io.BytesIO(jpeg)).size == (53, 64)
    assert read_exif(jpeg).box == DETECTION.box


@pytest.mark.parametrize("grain", [1, 2])  # pixels; color has half of the resolution
@pytest.mark.parametrize("color", [False, True])
def test_at_the_limits_of_the_settings_noise_is_a_face_that_a_processor_takes(color, grain):
    # Noise of extremes, in all channels, is the largest JPEG there is.
    extremes = np.random.default_rng(0).integers(0, 2, (LARGEST, LARGEST, 3), dtype=np.uint8)
    noise = np.repeat(np.repeat(255 * extremes, grain, 0), grain, 1)[:LARGEST, :LARGEST]
    if not color:
        noise = np.repeat(noise[..., :1], 3, 2)
    encoding = Encoding(color, LARGEST, BEST_QUALITY)
    info = replace(INFO, device="d" * 63, camera="c" * 63, landmarks=((9999, 9999),) * 5)
    crop = crop_face(noise, Detection(0, 0, LARGEST, LARGEST, 0.9), encoding)
    jpeg = encode_face(crop, info, encoding)
    assert 300_000 < len(jpeg) <= ProcessorSettings.model_fields["max_face_bytes"].default
    assert Image.open(io.BytesIO(jpeg)).size == (LARGEST, LARGEST)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("most", [16 << 10, 128 << 10, 256 << 10])
def test_a_face_is_kept_within_its_size(most, color):
    noise = np.random.default_rng(0).integers(0, 255, (LARGEST, LARGEST, 3), dtype=np.uint8)
    encoding = Encoding(color, LARGEST, BEST_QUALITY, most_bytes=most)
    crop = crop_face(noise, Detection(0, 0, LARGEST, LARGEST, 0.9), encoding)
    jpeg = encode_face(crop, INFO, encoding)
    assert most / 4 < len(jpeg) <= most
    assert read_exif(jpeg).box == INFO.box
    small = crop_face(FRAME, DETECTION, encoding)
    assert encode_face(small, INFO, encoding) == encode_face(small, INFO, Encoding(color, 800, 95))


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
