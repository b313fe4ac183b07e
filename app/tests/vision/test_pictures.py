"""Whatever is in a folder of pictures: it is played, or skipped with its reason."""

import os
import socket
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from facefleet.vision.errors import PictureError
from facefleet.vision.pictures import MAX_PIXELS, bounded, read_picture
from PIL import Image

GRAY = 120


def png_of(width: int, height: int) -> bytes:
    """A PNG that states a size and has no pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "name",
    [
        os.fsdecode(b"M\xfcller.jpg"),  # Latin-1
        "%04d.jpg",  # a pattern for OpenCV
        "new\nline.jpg",
        "http:_x.jpg",
        "without an ending",
        "misnamed.png",
        "-.jpg",
        "é日本.jpg",
    ],
)
def test_a_name_does_not_matter(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    Image.new("L", (64, 48), GRAY).save(file, "JPEG")
    assert read_picture(file).mean() == pytest.approx(GRAY, abs=2)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(
            ("1", "PNG"),
            ("L", "PNG"),
            ("LA", "PNG"),
            ("P", "PNG"),
            ("RGBA", "PNG"),
            ("I;16", "PNG"),
        ),
        *(("CMYK", "JPEG"), ("L", "JPEG"), ("RGB", "TIFF"), ("CMYK", "TIFF"), ("I;16", "TIFF")),
        *(("RGB", "WEBP"), ("RGBA", "WEBP"), ("RGB", "BMP"), ("P", "GIF"), ("RGB", "PPM")),
    ],
)
def test_every_kind_of_picture_is_three_channels_of_a_byte(
    tmp_path: Path, mode: str, kind: str
) -> None:
    Image.new(mode, (64, 48)).save(tmp_path / "picture", kind)
    image = read_picture(tmp_path / "picture")
    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_pictures_in_a_file_the_first_is_played(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (64, 48), (gray,) * 3) for gray in (GRAY, 0)]
    frames[0].save(tmp_path / "picture", kind, save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "picture").mean() == pytest.approx(GRAY, abs=3)


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter of a turn
    Image.new("RGB", (64, 48)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (64, 48, 3)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def truncated(path: Path) -> None:
    Image.new("RGB", (640, 480)).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "it is not a regular file"),
        (fifo, "it is not a regular file"),
        (unix_socket, "it cannot be opened"),
        (loop, "it cannot be opened"),
        (dangling, "it cannot be opened"),
        (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file"),
        (lambda path: path.write_bytes(b""), "it is not an image"),
        (lambda path: path.write_text("notes"), "it is not an image"),
        (lambda path: path.write_bytes(b"\xff\xd8\xff"), "it is not an image"),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0WEBPVP8 "), "its header cannot be read"),
        (lambda path: path.write_bytes(b"II*\0\xff\xff\xff\xff"), "its header cannot be read"),
        (truncated, "it cannot be decoded"),
        (lambda path: path.write_bytes(png_of(100_000, 100_000)), "100000 x 100000 pixels"),
        (lambda path: path.write_bytes(png_of(MAX_PIXELS + 1, 1)), "33177601 x 1 pixels are too"),
        (lambda path: path.write_bytes(png_of(2**31 - 1, 2**31 - 1)), "2147483647 x 2147483647"),
    ],
)
def test_what_is_no_picture_has_its_reason(tmp_path: Path, make, reason: str, capfd) -> None:
    make(tmp_path / "odd.jpg")
    with pytest.raises(PictureError) as caught:
        read_picture(tmp_path / "odd.jpg")
    assert str(caught.value).startswith(reason)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_has_vanished_has_its_reason(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="No such file"):
        read_picture(tmp_path / "gone.jpg")


def test_a_large_jpeg_is_decoded_at_a_half_and_one_beyond_is_refused(tmp_path: Path) -> None:
    picture = tmp_path / "large.jpg"
    assert cv2.imwrite(str(picture), np.full((5000, 8000, 3), GRAY, np.uint8))
    assert read_picture(picture).shape == (2500, 4000, 3)
    # As a camera's that lies in its header.
    whole = bytearray(picture.read_bytes())
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    picture.write_bytes(whole)
    with pytest.raises(PictureError, match="65000 x 65000 pixels are too many"):
        read_picture(picture)


def test_a_frame_has_no_more_pixels_than_allowed() -> None:
    small = np.zeros((48, 64, 3), np.uint8)
    assert bounded(small) is small
    wide = bounded(np.zeros((10, MAX_PIXELS // 5, 3), np.uint8))
    assert wide.shape[0] * wide.shape[1] <= MAX_PIXELS
    assert wide.shape[1] / wide.shape[0] > MAX_PIXELS / 100
