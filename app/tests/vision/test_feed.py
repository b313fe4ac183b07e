"""The process that decodes: whatever becomes of it, frames or a sentence come."""

import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from facefleet.vision.errors import CameraEndedError, CameraError
from facefleet.vision.feed import Feed
from PIL import Image
from structlog.testing import capture_logs

from support.camera import GRAYS, write_picture, write_video
from support.rig import await_true, peak

NEVER = threading.Event()


@pytest.fixture
def feeds() -> Iterator[list[Feed]]:
    opened: list[Feed] = []
    yield opened
    for feed in opened:
        feed.close()


def processes() -> set[int]:
    mine = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
    return {int(pid) for pid in mine.split()}


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """Those that the test has started: servers of other tests may run beside it."""
    before = processes()
    return lambda: processes() - before


def test_frames_come_one_by_one_and_what_ended_is_opened_again(tmp_path, feeds) -> None:
    feed = Feed(str(write_video(tmp_path / "film.avi")))
    feeds.append(feed)
    for _ in range(2):
        for gray in GRAYS:
            image = feed.next(NEVER)
            assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
            assert image.mean() == pytest.approx(gray, abs=3)
        with pytest.raises(CameraEndedError):
            feed.next(NEVER)


def test_frames_may_grow_and_shrink(tmp_path, feeds) -> None:
    sizes = [(64, 48), (1280, 720), (16, 16), (1920, 1080)]
    for n, size in enumerate(sizes):
        Image.new("RGB", size, (40 * n,) * 3).save(tmp_path / f"{n}.png")
    feed = Feed(str(tmp_path))
    feeds.append(feed)
    for n, (width, height) in enumerate(sizes):
        image = feed.next(NEVER)
        assert image.shape == (height, width, 3)
        assert (image == 40 * n).all()


def test_a_crash_of_the_decoder_is_told_and_frames_come_again(feeds, children) -> None:
    feed = Feed("sample:hopper")
    feeds.append(feed)
    feed.next(NEVER)
    (child,) = children()
    os.kill(child, signal.SIGSEGV)
    with pytest.raises(CameraError, match=r"sample:hopper crashed the reader process \(SIGSEGV\)"):
        feed.next(NEVER)
    assert feed.next(NEVER).shape == (480, 640, 3)
    assert child not in children()


def test_a_file_that_crashes_the_decoder_is_skipped_and_named(tmp_path, feeds, children) -> None:
    for n, gray in enumerate(GRAYS):
        write_picture(tmp_path / f"{'abc'[n]}.png", gray)
    feed = Feed(str(tmp_path))
    feeds.append(feed)
    assert feed.next(NEVER).mean() == pytest.approx(40, abs=2)
    (child,) = children()
    await_true(lambda: has_named_a_file(feed), "it is about to read b.png")
    os.kill(child, signal.SIGSEGV)
    with capture_logs() as lines:
        with pytest.raises(CameraError, match="SIGSEGV"):
            feed.next(NEVER)
        grays = [feed.next(NEVER).mean() for _ in range(2)]
    assert grays == pytest.approx([40, 200], abs=2)
    assert [(line["file"], line["event"]) for line in lines] == [
        (str(tmp_path / "b.png"), "skipped: it crashed the reader process (SIGSEGV)")
    ]


def has_named_a_file(feed: Feed) -> bool:
    """Whether the reader process has sent what it does before it reads a file."""
    return bool(select.select([feed._control], [], [], 0)[0])


def test_skipped_files_are_told_once(tmp_path, feeds) -> None:
    write_picture(tmp_path / "a.png", 40)
    (tmp_path / "b\nc.txt").write_text("no picture")
    feed = Feed(str(tmp_path))
    feeds.append(feed)
    with capture_logs() as lines:
        for _ in range(3):
            feed.next(NEVER)
            with pytest.raises(CameraEndedError):
                feed.next(NEVER)
    assert [(line["file"], line["event"]) for line in lines] == [
        (str(tmp_path / "b?c.txt"), "skipped: it is not an image: use JPEG or PNG")
    ]


def test_a_picture_that_needs_too_much_memory_is_skipped(tmp_path, feeds, children) -> None:
    # In a progressive JPEG all coefficients are held, however much smaller it is decoded.
    bomb = tmp_path / "a.jpg"
    Image.new("RGB", (64, 48)).save(bomb, progressive=True, subsampling=0)
    content = bytearray(bomb.read_bytes())
    at = content.index(b"\xff\xc2") + 5
    content[at : at + 4] = struct.pack(">HH", 20_000, 20_000)
    bomb.write_bytes(content)
    write_picture(tmp_path / "b.png", 200)
    feed = Feed(str(tmp_path))
    feeds.append(feed)
    with capture_logs() as lines:
        assert feed.next(NEVER).mean() == pytest.approx(200, abs=2)
    (child,) = children()
    assert peak(child) < 800 << 20
    assert [Path(line["file"]).name for line in lines] == ["a.jpg"]


def test_what_decoders_complain_about_is_not_in_the_log(tmp_path, feeds, capfd) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    cut = tmp_path / "a.jpg"
    Image.fromarray(noise).save(cut)
    cut.write_bytes(cut.read_bytes()[:20_000])
    feed = Feed(str(tmp_path))
    feeds.append(feed)
    assert feed.next(NEVER).shape == (480, 640, 3)
    assert capfd.readouterr().err == ""


def test_what_hangs_is_given_up_and_a_file_that_does_is_skipped(
    tmp_path, feeds, monkeypatch, children
) -> None:
    for n, gray in enumerate(GRAYS):
        write_picture(tmp_path / f"{'abc'[n]}.png", gray)
    feed = Feed(str(tmp_path))
    feeds.append(feed)
    feed.next(NEVER)
    (child,) = children()
    await_true(lambda: has_named_a_file(feed), "it is about to read b.png")
    os.kill(child, signal.SIGSTOP)
    with monkeypatch.context() as patch:  # a new process may take longer than that
        patch.setattr("facefleet.vision.feed._HANG_TIMEOUT", 1.0)
        with pytest.raises(CameraError, match="did not respond for 1 s: reopening it"):
            feed.next(NEVER)
    assert [feed.next(NEVER).mean() for _ in range(2)] == pytest.approx([40, 200], abs=2)


def test_a_large_picture_is_decoded_in_little_memory(tmp_path, feeds, children) -> None:
    Image.new("RGB", (12_000, 9_000)).save(tmp_path / "a.jpg")
    feed = Feed(str(tmp_path))
    feeds.append(feed)
    assert feed.next(NEVER).shape == (4500, 6000, 3)
    (child,) = children()
    assert peak(child) < 300 << 20


def test_the_source_is_no_argument_that_others_could_read(feeds, children) -> None:
    feed = Feed("rtsp://me:hunter2@127.0.0.1:1/live")
    feeds.append(feed)
    with pytest.raises(CameraError, match=r"^The stream rtsp://127.0.0.1:1 cannot be opened"):
        feed.next(NEVER)
    (child,) = children()
    assert b"hunter2" not in Path(f"/proc/{child}/cmdline").read_bytes()


def test_closing_ends_the_process(feeds, children) -> None:
    feed = Feed("sample:hopper")
    feed.next(NEVER)
    began = time.monotonic()
    feed.close()
    assert time.monotonic() - began < 10  # until supervisord kills a service that leaves
    assert children() == set()
    feed.close()  # again


def test_the_process_ends_with_who_asked() -> None:
    script = (
        "import os, threading; from facefleet.vision.feed import Feed;"
        "f = Feed('sample:hopper'); f.next(threading.Event()); print(f._process.pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    child = Path("/proc", done.stdout.strip())
    await_true(lambda: not child.exists() or "Z" in (child / "stat").read_text(), "it has ended")
