import os
from contextlib import closing

import cv2
import numpy as np
import pytest
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.sample import Sample
from facefleet.vision.sources import open_source

from support.camera import GRAYS, write_picture, write_video


def play(source):
    """The mean gray of each frame up to the end."""
    grays = []
    try:
        while True:
            image = source.read()
            assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
            grays.append(round(image.mean()))
    except CameraEndedError:
        return grays
    finally:
        source.close()


def test_a_video_is_played_frame_by_frame_to_its_end(tmp_path):
    source = open_source(str(write_video(tmp_path / "film.avi")))
    assert play(source) == pytest.approx(GRAYS, abs=3)


def test_a_truncated_video_is_played_as_far_as_it_goes(tmp_path):
    film = write_video(tmp_path / "film.avi", [40] * 50)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    assert 0 < len(play(open_source(str(film)))) < 50


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"RIFF\0\0\0\0AVI LIST"])
def test_what_is_no_video_is_named(tmp_path, content, capfd):
    (tmp_path / "film.avi").write_bytes(content)
    with pytest.raises(CameraError, match=r"The video .*film\.avi cannot be opened: "):
        open_source(str(tmp_path / "film.avi"))
    assert capfd.readouterr() == ("", "")


def test_a_video_without_a_good_frame_is_an_error_and_no_end(tmp_path):
    film = write_video(tmp_path / "film.avi")
    head, movi, frames = film.read_bytes().partition(b"movi")
    film.write_bytes(head + movi + bytes(len(frames)))
    no_frame = r"film\.avi has no readable frames"
    with (
        closing(open_source(str(film))) as source,
        pytest.raises(CameraError, match=no_frame) as caught,
    ):
        source.read()
    assert not isinstance(caught.value, CameraEndedError)


def test_a_folder_is_played_by_name_and_says_what_it_skips(tmp_path):
    for name, gray in (("b.png", 120), ("c.jpg", 200), ("a.jpg", 40)):
        write_picture(tmp_path / name, gray)
    (tmp_path / "b.txt").write_text("no picture")
    (tmp_path / "more").mkdir()
    skipped = []
    source = open_source(str(tmp_path), on_skip=lambda file, _: skipped.append(file.name))
    assert play(source) == pytest.approx(GRAYS, abs=2)
    assert skipped == ["b.txt", "more"]


@pytest.mark.parametrize("ending", ["avi", "mp4", "mkv", "ts"])
def test_a_video_that_is_damaged_in_the_middle_is_played_to_its_end(tmp_path, ending):
    film = tmp_path / f"film.{ending}"
    codec = cv2.VideoWriter_fourcc(*("MJPG" if ending == "avi" else "mp4v"))
    writer = cv2.VideoWriter(str(film), codec, 24, (320, 240))
    sample = Sample("hopper", (320, 240))
    for n in range(120):
        writer.write(sample.frame(n))
    writer.release()
    content = bytearray(film.read_bytes())
    begin, end = int(len(content) * 0.45), int(len(content) * 0.5)
    content[begin:end] = bytes(end - begin)
    film.write_bytes(content)
    source = open_source(str(film))
    assert len(play(source)) > 100  # it is a twentieth that is broken
    assert source.broken > 0 or ending != "mp4"


@pytest.mark.parametrize("name", [b"M\xfcller.avi", b"%d.avi", b"http:x.avi", b"film"])
def test_a_name_of_a_video_does_not_matter(tmp_path, name):
    film = write_video(tmp_path / "film.avi").rename(tmp_path / os.fsdecode(name))
    assert play(open_source(str(film))) == pytest.approx(GRAYS, abs=3)


def test_a_folder_without_a_picture_is_an_error_and_no_end(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(CameraError, match="has no images: add JPEG") as caught:
        open_source(str(tmp_path)).read()
    assert not isinstance(caught.value, CameraEndedError)


def test_a_pipeline_is_opened_without_its_prefix(tmp_path, monkeypatch):
    # A film in the place of a pipeline: the OpenCV of the wheel has no GStreamer.
    monkeypatch.setattr("facefleet.vision.capture.has_gstreamer", lambda: True)
    monkeypatch.setattr(cv2, "CAP_GSTREAMER", cv2.CAP_FFMPEG)
    source = open_source(f"gstreamer:{write_video(tmp_path / 'film.avi')}")
    assert source.live
    assert play(source) == pytest.approx(GRAYS, abs=3)


def test_what_is_neither_a_file_nor_a_folder_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CameraError, match="pipe is neither a video file nor a folder"):
        open_source(str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/dev/video99", "There is no camera /dev/video99: plug it in"),
        ("/dev/null", "The camera /dev/null cannot be opened: "),
        ("no-such-file.mp4", "There is no source no-such-file.mp4: use sample:astronaut"),
        ("rtmp://me:secret@host/path", "There is no source (not shown: it may be secret): use"),
        ("sample:", "There is no sample ''"),
        (
            "gstreamer:videotestsrc ! appsink",
            f"OpenCV {cv2.__version__} was built without GStreamer, which the source of this "
            "camera needs: install an OpenCV that has it (docs/cameras.md), or use another source.",
        ),
        ("rtsp://me:secret@127.0.0.1:1/secret", "The stream rtsp://127.0.0.1:1 cannot be"),
    ],
)
def test_what_cannot_be_opened_gets_a_sentence(source, sentence, capfd):
    with pytest.raises(CameraError) as caught:
        open_source(source)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")
    assert capfd.readouterr() == ("", "")
