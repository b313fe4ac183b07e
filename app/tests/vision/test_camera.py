import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from facefleet.vision.camera import Camera
from test_sources import GRAYS, write_picture, write_video


class Stream(BaseHTTPRequestHandler):
    """Motion JPEG at 25 frames a second: the gray says the frame's number, 2 a frame."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        n = 0
        try:
            while not self.server.dying.wait(0.04):
                picture = np.full((48, 64, 3), min(250, n * 2), np.uint8)
                jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ")
                self.wfile.write(str(len(jpeg)).encode() + b"\r\n\r\n" + jpeg + b"\r\n")
                n += 1
        except OSError:
            pass  # the camera has closed the stream

    def log_message(self, *args):
        pass


@contextmanager
def stream(port=0):
    server = ThreadingHTTPServer(("127.0.0.1", port), Stream)
    server.dying = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.dying.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


def gray(frame):
    return round(frame.image.mean())


def test_the_sample_comes_at_the_asked_rate_with_its_time(stop):
    states = []
    camera = iter(Camera("sample:hopper", 20, states.append, stop))
    next(camera)
    begin = time.monotonic()
    frames = [next(camera) for _ in range(10)]
    assert 0.45 < time.monotonic() - begin < 1.5
    times = [frame.captured for frame in frames]
    assert times == sorted(set(times))
    assert abs((datetime.now(UTC) - times[-1]).total_seconds()) < 1
    assert states == [None]


def test_recordings_start_over_without_being_unready(tmp_path, stop):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n, value in enumerate(GRAYS):
        write_picture(pictures / f"{n}.png", value)
    for source in (pictures, write_video(tmp_path / "film.avi")):
        states = []
        camera = iter(Camera(str(source), 200, states.append, stop))
        assert [gray(next(camera)) for _ in range(9)] == pytest.approx(GRAYS * 3, abs=3)
        assert states == [None]


def test_an_empty_folder_is_unready_until_a_picture_comes(tmp_path, stop):
    states = []

    def on_state(state):
        states.append(state)
        if len(states) == 2:
            write_picture(tmp_path / "late.png", 120)

    begin = time.monotonic()
    frame = next(iter(Camera(str(tmp_path), 100, on_state, stop)))
    assert gray(frame) == pytest.approx(120, abs=2)
    assert time.monotonic() - begin > 1.5  # waits of 0.5 and 1 second
    assert "has no picture" in states[0]
    assert states == [states[0], states[0], None]


def test_a_stream_that_dies_comes_back(stop):
    states = []
    with ExitStack() as servers:

        def on_state(state):
            states.append(state)
            if len(states) == 2:
                servers.enter_context(stream(port))

        with stream() as port:
            address = f"http://me:secret@127.0.0.1:{port}/live"
            camera = iter(Camera(address, 25, on_state, stop))
            next(camera)
            assert states == [None]
        while len(states) < 3:
            next(camera)
        camera.close()
    _, failure, last = states
    assert failure.startswith(f"The stream http://127.0.0.1:{port}/... ")
    assert "secret" not in failure
    assert last is None


def test_a_slow_reader_of_a_live_stream_gets_fresh_frames(stop):
    with stream() as port:
        camera = iter(Camera(f"http://127.0.0.1:{port}/live", 4, lambda state: None, stop))
        first, *_, last = [gray(next(camera)) for _ in range(5)]
        camera.close()
    # A second has passed, so 25 frames: from a queue it would be the fifth, 8 brighter.
    assert last - first > 30


def test_a_user_that_is_a_little_faster_than_the_camera_gets_every_frame(stop):
    with stream() as port:
        camera = iter(Camera(f"http://127.0.0.1:{port}/live", 100, lambda state: None, stop))
        grays = []
        for _ in range(20):
            grays.append(gray(next(camera)))
            stop.wait(0.02)  # half of a frame's time, as a detector may take
        camera.close()
    # 2 a frame; who waits for a whole frame more each time gets every other one, 76 brighter.
    assert grays[-1] - grays[0] < 60


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_camera_that_never_answers_does_not_keep_one_from_stopping(scheme, stop):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/live"
        frames = []
        camera = Camera(address, 10, lambda state: None, stop)
        thread = threading.Thread(target=lambda: frames.extend(camera))
        thread.start()
        connection, _ = silent.accept()
        stop.set()
        thread.join(2)
        connection.close()
        assert not thread.is_alive()
        assert frames == []


def test_stopping_does_not_wait_for_the_next_try(tmp_path, stop):
    failed = threading.Event()
    camera = Camera(str(tmp_path / "gone"), 10, lambda state: failed.set(), stop)
    thread = threading.Thread(target=lambda: list(camera))
    thread.start()
    assert failed.wait(5)
    stop.set()
    thread.join(0.3)
    assert not thread.is_alive()
