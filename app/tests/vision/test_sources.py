import cv2
import numpy as np
import pytest
from facefleet.vision.capture import without_secrets
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.sources import open_source
from structlog.testing import capture_logs

GRAYS = (40, 120, 200)


def write_video(path, grays=GRAYS):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for gray in grays:
        writer.write(np.full((48, 64, 3), gray, np.uint8))
    writer.release()
    return path


def write_picture(path, gray):
    assert cv2.imwrite(str(path), np.full((48, 64, 3), gray, np.uint8))


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
    source = open_source(str(film))
    with pytest.raises(CameraError, match=r"film\.avi has no frame that can be read") as caught:
        source.read()
    assert not isinstance(caught.value, CameraEndedError)


def test_a_folder_is_played_by_name_and_says_once_what_it_skips(tmp_path):
    for name, gray in (("b.png", 120), ("c.jpg", 200), ("a.jpg", 40)):
        write_picture(tmp_path / name, gray)
    (tmp_path / "b.txt").write_text("no picture")
    (tmp_path / "more").mkdir()
    with capture_logs() as lines:
        for _ in range(2):
            assert play(open_source(str(tmp_path))) == pytest.approx(GRAYS, abs=2)
    assert [line["file"] for line in lines] == [str(tmp_path / name) for name in ("b.txt", "more")]


def test_a_folder_without_a_picture_is_an_error_and_no_end(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(CameraError, match="has no picture: put JPEG") as caught:
        open_source(str(tmp_path)).read()
    assert not isinstance(caught.value, CameraEndedError)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/dev/video99", "There is no camera /dev/video99: plug it in"),
        ("/dev/null", "The camera /dev/null cannot be opened: "),
        ("no-such-file.mp4", "There is no no-such-file.mp4: name sample:astronaut"),
        ("rtmp://me:secret@host/path", "There is no rtmp://host/...: name"),
        ("sample:", "There is no sample ''"),
        ("rtsp://me:secret@127.0.0.1:1/secret", "The stream rtsp://127.0.0.1:1/... cannot be"),
    ],
)
def test_what_cannot_be_opened_gets_a_sentence(source, sentence, capfd):
    with pytest.raises(CameraError) as caught:
        open_source(source)
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith(".")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://me:secret@cam:554/live", "rtsp://cam:554/..."),
        ("rtsp://me:se@cret@cam/live", "rtsp://cam/..."),
        ("rtsp://me:sec/ret@cam/live", "rtsp://***"),
        ("rtsp://cam/user=me&password=secret", "rtsp://cam/..."),
        ("http://cam?password=secret", "http://cam/..."),
        ("rtsp://me:secret@cam", "rtsp://cam"),
        ("film.avi", "film.avi"),
    ],
)
def test_secrets_of_an_address_are_not_shown(address, shown):
    assert without_secrets(address) == shown
