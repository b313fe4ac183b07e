import socket
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count, pairwise
from statistics import median

import pytest
from facefleet.views import OFF
from facefleet.vision.camera import Camera

from support.camera import GRAYS, gray_frame, stream, write_picture, write_video


@pytest.fixture
def stop():
    event = threading.Event()
    yield event
    event.set()


def gray(frame):
    return round(frame.image.mean())


def test_the_sample_comes_at_the_asked_rate_with_its_time(stop, monkeypatch):
    states, waits = [], []
    monkeypatch.setattr(
        stop, "wait", lambda seconds: waits.append(seconds) or threading.Event.wait(stop, seconds)
    )
    camera = iter(Camera("sample:hopper", 20, states.append, stop))
    times = [next(camera).captured]
    begin = time.monotonic()
    for _ in range(10):
        asked = datetime.now(UTC)
        times.append(next(camera).captured)
        assert asked <= times[-1] <= datetime.now(UTC)
    # The second one comes at once if the first one was late.
    assert time.monotonic() - begin >= 9 / 20 - 1 / 20
    assert max(waits) <= 1 / 20
    assert times == sorted(set(times))
    assert states == [None]


def test_off_by_its_schedule_a_source_is_closed(stop):
    class Hours:
        on = True

        def active(self, now):
            assert now.tzinfo
            return self.on

    hours, states = Hours(), []

    def on_state(state):
        states.append(state)
        if states[-2:] == [OFF, OFF]:
            assert camera._feed._process is None
            hours.on = True

    camera = Camera("sample:hopper", 200, on_state, stop, schedule=hours)
    frames = iter(camera)
    next(frames)
    hours.on = False
    next(frames)
    assert states == [None, OFF, OFF, None]
    frames.close()


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


def test_what_does_not_continue_the_last_frame_is_a_cut(tmp_path, stop):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for n, value in enumerate(GRAYS):
        write_picture(pictures / f"{n}.png", value)
    film = write_video(tmp_path / "film.avi")
    again = [True, False, False]
    for source, expected in (
        (pictures, [True] * 9),
        (film, again * 3),
        ("sample:hopper", [True] + [False] * 8),
    ):
        camera = iter(Camera(str(source), 200, lambda _state: None, stop))
        frames = [next(camera) for _ in range(9)]
        assert [frame.cut for frame in frames] == expected
        assert not any(frame.live for frame in frames)
        camera.close()
    with stream() as server:
        for path in ("live", "snapshot"):  # each picture of a snapshot is a moment after the last
            address = f"http://127.0.0.1:{server.server_port}/{path}"
            camera = iter(Camera(address, 50, lambda _state: None, stop))
            frames = [next(camera) for _ in range(5)]
            assert [(frame.cut, frame.live) for frame in frames] == [(False, True)] * 5
            camera.close()


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
    assert "has no images" in states[0]
    assert states == [states[0], states[0], None]


def test_a_stream_that_dies_comes_back(stop):
    states = []
    with ExitStack() as servers:

        def on_state(state):
            states.append(state)
            if len(states) == 2:
                servers.enter_context(stream(port))

        with stream() as server:
            port = server.server_port
            address = f"http://me:secret@127.0.0.1:{port}/live"
            camera = iter(Camera(address, 25, on_state, stop))
            next(camera)
            assert states == [None]
        while len(states) < 3 or states[-1] is not None:
            next(camera)
        camera.close()
    _, *failures, _ = states
    for failure in failures:
        assert failure.startswith(f"The stream http://127.0.0.1:{port} ")
        assert "secret" not in failure


def test_an_address_that_answers_with_one_picture_is_a_camera(stop):
    states = []
    with stream() as server:
        address = f"http://127.0.0.1:{server.server_port}/snapshot"
        camera = iter(Camera(address, 50, states.append, stop))
        assert [gray(next(camera)) for _ in range(20)] == pytest.approx([120] * 20, abs=2)
        camera.close()
        assert states == [None]
        assert 20 <= len(server.paths) <= 42  # FFmpeg may ask twice for a picture


def test_a_broken_frame_costs_no_other_and_no_connection(stop):
    states = []
    with stream() as server:
        address = f"http://127.0.0.1:{server.server_port}/cut"
        watched = Camera(address, 100, states.append, stop)
        camera = iter(watched)
        for _ in range(30):
            next(camera)
        camera.close()
        assert states == [None]
        assert server.paths == ["/cut"]
    assert watched.broken > 5


def test_a_slow_reader_of_a_live_stream_gets_fresh_frames(stop):
    with stream() as server:
        camera = iter(
            Camera(f"http://127.0.0.1:{server.server_port}/live", 2, lambda state: None, stop)
        )
        first = gray(next(camera))
        read = next(n for n in count(1) if gray(next(camera)) - first > 40)
        camera.close()
    # 2 a frame, of which 12 are sent for each that is read; from a queue it would be the 21st.
    assert read < 15


def test_a_user_that_is_a_little_faster_than_the_camera_gets_every_frame(stop):
    with stream(frame=lambda n: gray_frame(n % 120)) as server:
        camera = iter(
            Camera(f"http://127.0.0.1:{server.server_port}/live", 100, lambda state: None, stop)
        )
        steps = []
        for _ in range(5):  # in one series at least, the machine keeps up
            grays = []
            for _ in range(20):
                grays.append(gray(next(camera)))
                stop.wait(0.02)  # half of a frame's time, as a detector may take
            steps.append(median(after - before for before, after in pairwise(grays)))
            if steps[-1] == pytest.approx(2, abs=1):
                break
        camera.close()
    # 2 a frame; who waits for a whole frame more each time gets every other one, 4 brighter.
    assert steps[-1] == pytest.approx(2, abs=1)


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
        thread.join(8)  # the camera would be given up after 10 s
        connection.close()
        assert not thread.is_alive()
        assert frames == []


def test_stopping_does_not_wait_for_the_next_try(tmp_path, stop, monkeypatch):
    monkeypatch.setattr("facefleet.vision.camera._FIRST_WAIT", 600)
    failed = threading.Event()
    camera = Camera(str(tmp_path / "gone"), 10, lambda state: failed.set(), stop)
    thread = threading.Thread(target=lambda: list(camera))
    thread.start()
    assert failed.wait(60)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
