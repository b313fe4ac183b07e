"""The detector as a process: what it sends, what it remembers, and what it says when it cannot."""

import io
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import threading
import time
import urllib.request
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from facefleet.delivery.backlog import Rank
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.delivery.sender import LAST_RECEIPTS
from facefleet.exif import FaceInfo, read_exif
from facefleet.health import Health
from facefleet.protocol import FaceName, Receipt, content_tag
from facefleet.services.detector.watch import Watch
from facefleet.views import OFF, View
from facefleet.vision.camera import Frame
from facefleet.vision.sample import Sample
from PIL import Image

from support.camera import stream, write_picture, write_video
from support.listener import Listener
from support.rig import Process, Rig, await_true, free_port, ready, unmet
from support.shell import facefleet, told

NOBODY = "mqtt://127.0.0.1:1"
STATUS = "status/edge-1/front"
SAMPLES = Path(__file__).parents[2] / "src/facefleet/vision/samples"


def detector(rig: Rig, broker: str = NOBODY, **more: object) -> tuple[Process, str]:
    settings = {
        "device": "edge-1",
        "camera": "front",
        "source": "sample:astronaut",
        "fps": 20,
        "capture": "every",  # so that faces come one after the other
        "broker": broker,
        "outbox": rig.folder / "outbox.sqlite",
        **more,
    }
    return rig.service("detector", wait=False, **settings)


def names(listener: Listener) -> list[FaceName]:
    found = [FaceName.of_topic(topic) for topic, *_ in listener.heard if topic.startswith("faces/")]
    assert None not in found
    return found


def metrics(url: str) -> dict[str, float]:
    """Return the values of one moment."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        lines = re.findall(r"^(\w+) (\S+)$", answer.read().decode(), re.MULTILINE)
    return {name: float(value) for name, value in lines}


def metric(url: str, name: str) -> float:
    return metrics(url)[name]


def camera_problem(url: str) -> str:
    return json.loads(unmet(url) or "{}").get("unmet", {}).get("camera", "")


def test_it_sends_faces_that_say_what_they_are(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    with Listener(port, "#") as listener:
        began = datetime.now(UTC)
        _, url = detector(rig, f"mqtt://127.0.0.1:{port}", color="color", max_face_size=100)
        await_true(lambda: len(set(map(str, names(listener)))) >= 3, "faces come")
        await_true(lambda: ready(url), "it is ready")
        for topic, payload, _ in list(listener.heard):
            if name := FaceName.of_topic(topic):
                assert (name.device, name.camera) == ("edge-1", "front")
                assert name.tag == content_tag(payload)
                assert began <= name.captured <= datetime.now(UTC)
                info = read_exif(payload)
                assert (info.device, info.camera, info.detector) == ("edge-1", "front", "yunet")
                assert info.captured == name.captured
                picture = Image.open(io.BytesIO(payload))
                assert (picture.mode, max(picture.size)) == ("RGB", 100)


def test_of_a_visit_the_best_faces_are_sent(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    with Listener(port, "#") as listener:
        process, url = detector(rig, f"mqtt://127.0.0.1:{port}", capture="visits", fps=30)
        await_true(lambda: unmet(url), "it answers")
        await_true(lambda: metric(url, "facefleet_frames_total") >= 100, "it looks around")
        await_true(lambda: names(listener), "a face comes")
        process.signal(signal.SIGTERM)

        def confirmed_it_has_left() -> bool:
            stored = [(name.seq, name.tag) for name in names(listener)]
            epoch = names(listener)[0].epoch
            listener.say("receipts/edge-1/front", Receipt(epoch, stored=stored).encode())
            return not process.running()

        await_true(confirmed_it_has_left, "it has sent the last one and leaves")
        faces = {
            name.seq: read_exif(payload)
            for topic, payload, _ in list(listener.heard)
            if (name := FaceName.of_topic(topic))
        }
    visits: dict[str, list[FaceInfo]] = {}  # one, unless the machine stood still for too long
    for seq in sorted(faces):
        visits.setdefault(faces[seq].visit, []).append(faces[seq])
    assert sum(max(face.candidates for face in visit) for visit in visits.values()) > 60
    for name, (first, *better) in visits.items():
        assert re.fullmatch("[0-9a-f]{8}", name)
        assert first.candidates <= 31  # the first is sent within a second
        assert len(better) <= 2
        grades = [face.quality for face in (first, *better)]
        assert all(0 < grade <= 1 for grade in grades)
        assert grades == sorted(set(grades))
    assert any(better for _, *better in visits.values())
    assert all(len(face.landmarks) == 5 for face in faces.values())


def test_a_running_visit_is_in_the_outbox_when_the_detector_is_killed(rig: Rig) -> None:
    process, url = detector(rig, capture="visits", fps=5)
    await_true(lambda: unmet(url), "it answers")
    await_true(lambda: metric(url, "facefleet_faces_captured_total") >= 1, "a face is captured")
    assert metric(url, "facefleet_frames_total") < 100  # the person leaves with frame 124
    process.kill()
    assert OutboxReader(rig.folder / "outbox.sqlite").counts().captured >= 1
    process.start()
    await_true(lambda: unmet(url), "it answers again")
    await_true(lambda: metric(url, "facefleet_visits_total") >= 1, "the visit begins again")
    assert process.stop() == 0


def test_pictures_of_a_folder_are_visits_of_their_own(rig: Rig) -> None:
    folder = rig.folder / "pictures"
    folder.mkdir()
    for n, name in enumerate(("astronaut", "hopper", "astronaut")):
        shutil.copy(SAMPLES / f"{name}.jpg", folder / f"{n}.jpg")
    process, url = detector(rig, capture="visits", source=folder)
    await_true(lambda: unmet(url), "it answers")
    await_true(lambda: metric(url, "facefleet_frames_total") >= 7, "it has been played twice")
    found = metrics(url)
    visits, detected = found["facefleet_visits_total"], found["facefleet_faces_detected_total"]
    assert 6 <= visits <= detected <= visits + 1
    assert process.stop() == 0


def test_faces_count_only_inside_of_the_regions(rig: Rig) -> None:
    (rig.folder / "pictures").mkdir()
    shutil.copy(SAMPLES / "astronaut.jpg", rig.folder / "pictures")  # the face is on the left
    left = "[[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]"
    for region, counts in (("include", True), ("exclude", False)):
        more = {region: left, "outbox": rig.folder / f"{region}.sqlite"}
        process, url = detector(rig, source=rig.folder / "pictures", **more)
        await_true(lambda url=url: unmet(url), "it answers")
        await_true(lambda url=url: metric(url, "facefleet_frames_total") >= 3, "it is played")
        assert (metric(url, "facefleet_faces_detected_total") > 0) is counts
        assert process.stop() == 0


def test_off_by_its_schedule_it_is_ready_and_looks_at_nothing(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    day = f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()
    with Listener(port, STATUS) as listener:
        schedule = json.dumps([f"{day} 00:00-24:00"])
        process, url = detector(rig, f"mqtt://127.0.0.1:{port}", schedule=schedule)
        await_true(lambda: ready(url), "it is ready")
        await_true(
            lambda: any(json.loads(row).get("view") == OFF for row in listener.on(STATUS)),
            "its status says so",
        )
        assert metric(url, "facefleet_frames_total") == 0
        assert process.stop() == 0
    states = {row.state for row in OutboxReader(rig.folder / "outbox.sqlite").coverage()}
    assert OFF in states


def test_a_visit_ends_with_the_stream(rig: Rig) -> None:
    sharp = Sample("hopper").frame(0)

    def frame(n: int) -> np.ndarray:
        return cv2.GaussianBlur(sharp, (0, 0), max(4 - n / 40, 0.5))  # better and better

    def further(found: dict[str, float]) -> float:
        return found["facefleet_faces_captured_total"] - found["facefleet_visits_total"]

    with stream(frame=frame) as server:
        source = f"http://127.0.0.1:{server.server_port}/live"
        process, url = detector(rig, capture="visits", faces_per_visit=2, source=source)
        await_true(lambda: unmet(url), "it answers")
        await_true(lambda: metric(url, "facefleet_frames_total") > 60, "a better face is seen")
        before = metrics(url)
    # One visit, unless the machine stood still for too long.
    visits = before["facefleet_visits_total"]
    assert visits >= 1
    assert further(before) < visits
    await_true(lambda: further(metrics(url)) > further(before), "the best one comes")
    visits = metric(url, "facefleet_visits_total")
    with stream(server.server_port, frame):
        await_true(lambda: metric(url, "facefleet_visits_total") > visits, "another visit")
    assert process.stop() == 0
    with sqlite3.connect(rig.folder / "outbox.sqlite") as db:
        ranks = [Rank(row[0]) for row in db.execute("SELECT rank FROM ledger ORDER BY seq")]
    db.close()
    assert ranks[0] is Rank.FIRST
    assert ranks.count(Rank.FIRST) > visits
    assert Rank.FURTHER in ranks


def test_a_black_picture_is_told_until_it_is_bright_again(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    room = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    dark = threading.Event()

    def picture(number: int) -> np.ndarray:
        return np.roll(room, number, 1) // (64 if dark.is_set() else 1)

    def views() -> list[str | None]:
        told = [json.loads(payload) for topic, payload, _ in listener.heard if topic == STATUS]
        return [status.get("view") for status in told if status.get("camera") == "ok"]

    def shown() -> str:
        with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
            found = re.findall(
                r'^facefleet_camera_view{view="(\w+)"} 1.0$', answer.read().decode(), re.M
            )
        return " ".join(found)

    with Listener(port, "status/#") as listener, stream(frame=picture) as server:
        source = f"http://127.0.0.1:{server.server_port}/"
        process, url = detector(rig, f"mqtt://127.0.0.1:{port}", source=source)
        await_true(lambda: ready(url) and shown() == "good", "the camera is seen through")
        dark.set()
        await_true(lambda: views()[-1:] == ["dark"], "the status tells it")
        assert shown() == "dark"
        assert ready(url)
        dark.clear()
        await_true(lambda: views()[-1:] == [None], "the status tells that it is over")
        assert shown() == "good"
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    told = [(line["level"], line.get("problem")) for line in lines if "view" in line["event"]]
    assert told == [
        ("warning", "The picture is black: remove the lens cap, or switch on the light."),
        ("info", None),
    ]


@pytest.mark.parametrize(("live", "fault"), [(True, View.FROZEN), (False, None)])
def test_only_the_view_of_a_live_camera_is_judged(live: bool, fault: View | None) -> None:
    watch = Watch(5, Health("camera"))
    watch.stream(None)
    image = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8)
    for second in range(70):
        watch.look(Frame(image, datetime.now(UTC), cut=False, live=live), second)
    assert watch.fault is fault
    watch.stream("There is no camera.")
    assert watch.fault is None  # it is not known


def test_the_outbox_keeps_for_how_long_the_camera_saw(rig: Rig) -> None:
    began = time.time()
    process, url = detector(rig)
    await_true(lambda: '"camera"' not in (unmet(url) or '"camera"'), "it sees")
    await_true(lambda: metric(url, "facefleet_frames_total") > 20, "frames are looked at")
    process.stop()
    process, url = detector(rig, source="/dev/video77")
    await_true(lambda: "/dev/video77" in camera_problem(url), "the camera is missed")
    missed = time.monotonic()
    await_true(lambda: time.monotonic() - missed > 1, "a second passes without it")
    process.stop()
    with closing(OutboxReader(rig.folder / "outbox.sqlite")) as reader:
        rows = reader.coverage()
    seconds = Counter()
    for first, last, state, each in rows:
        assert began // 60 <= first <= last <= time.time() // 60
        seconds[state] += (last - first + 1) * each
    assert seconds.keys() <= {"seen", "no stream", "stalled"}
    assert min(seconds["seen"], seconds["no stream"]) >= 1  # at 20 frames a second
    assert seconds.total() <= time.time() - began + 2  # rounded, for each of the runs


def test_killed_it_goes_on_with_what_is_unconfirmed(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    with Listener(port, "#") as first:
        process, _ = detector(rig, f"mqtt://127.0.0.1:{port}")
        await_true(lambda: len({name.seq for name in names(first)}) >= 5, "faces come")
        before = {name.seq: name for name in names(first)}
        epoch = before[1].epoch
        confirmed = Receipt(epoch, stored=[(seq, before[seq].tag) for seq in (1, 2)])
        first.say("receipts/edge-1/front", confirmed.encode())
        await_true(
            lambda: any(json.loads(row).get("stored") == 2 for row in first.on(STATUS)), "heard"
        )
        process.kill()
        await_true(
            lambda: first.on(STATUS)[-1] == b'{"state": "offline"}', "its will says that it is gone"
        )
        before = {name.seq: name for name in names(first)}
    with Listener(port, "#") as second:
        process.start()

        def all_come() -> bool:
            # Few are sent at a time until they are confirmed.
            stored = [(name.seq, name.tag) for name in names(second)]
            second.say("receipts/edge-1/front", Receipt(epoch, stored=stored).encode())
            return {name.seq for name in names(second)} > set(range(3, max(before) + 2))

        await_true(all_come, "the unconfirmed come again, and new ones")
        after = {name.seq: name for name in names(second)}
    assert {1, 2}.isdisjoint(after)
    assert {name.epoch for name in after.values()} == {epoch}
    assert all(after[seq] == before[seq] for seq in before if seq in after)
    assert sorted(after) == list(range(3, max(after) + 1))
    assert process.stop() == 0


@pytest.mark.parametrize("broker", ["up", "down", "silent"])
def test_it_leaves_when_told(rig: Rig, broker: str) -> None:
    port = rig.mosquitto("broker")[1] if broker == "up" else free_port()
    process, url = detector(
        rig, f"mqtt://{'192.0.2.1' if broker == 'silent' else '127.0.0.1'}:{port}"
    )
    await_true(lambda: '"camera"' not in (unmet(url) or '"camera"'), "it sees")
    if broker == "up":
        await_true(lambda: ready(url), "it is ready")
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "Traceback" not in process.log.read_text()
    if broker == "up":
        with Listener(port, STATUS) as listener:
            await_true(lambda: listener.retained(STATUS) == [b'{"state": "offline"}'], "it said so")


@pytest.mark.parametrize("kind", ["stream", "snapshot", "silent", "video", "folder", "device"])
def test_it_leaves_when_told_whatever_it_watches(rig: Rig, kind: str) -> None:
    _, port = rig.mosquitto("broker")
    with stream() as server, socket.create_server(("127.0.0.1", 0)) as silent:
        film = write_video(rig.folder / "film.avi")
        (rig.folder / "pictures").mkdir()
        write_picture(rig.folder / "pictures" / "a.png", 120)
        source = {
            "stream": f"http://127.0.0.1:{server.server_port}/live",
            "snapshot": f"http://127.0.0.1:{server.server_port}/snapshot",
            "silent": f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live",
            "video": film,
            "folder": rig.folder / "pictures",
            "device": "/dev/null",
        }[kind]
        process, url = detector(rig, f"mqtt://127.0.0.1:{port}", source=source)
        if kind == "silent":
            silent.accept()[0].close()
        elif kind == "device":
            await_true(lambda: "cannot be opened" in camera_problem(url), "it was tried")
        else:
            await_true(lambda: ready(url), "it is ready")
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert "Traceback" not in process.log.read_text()


def test_a_folder_that_anybody_fills_is_watched(rig: Rig) -> None:
    folder = rig.folder / "pictures"
    folder.mkdir()
    write_picture(folder / os.fsdecode(b"M\xfcller.png"), 120)
    write_picture(folder / "%d.png", 120)
    os.mkfifo(folder / "fifo.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    process, url = detector(rig, source=folder)
    await_true(lambda: unmet(url), "it answers")
    await_true(lambda: metric(url, "facefleet_frames_total") > 5, "it is played")
    assert camera_problem(url) == ""
    skipped = [line for line in process.log.read_text().splitlines() if "skipped" in line]
    assert len(skipped) == 2
    assert process.stop() == 0


def test_an_empty_room_is_well_and_a_machine_that_keeps_up_says_so(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    broker = f"mqtt://127.0.0.1:{port}"
    (rig.folder / "room").mkdir()
    write_picture(rig.folder / "room" / "a.png", 120)
    process, url = detector(rig, broker, source=rig.folder / "room", fps=2)
    await_true(lambda: ready(url), "it is ready")
    await_true(lambda: metric(url, "facefleet_frame_rate_hertz") > 0, "the rate is known")
    result = facefleet("status", "--expect=edge-1/front", "--seconds=8", BROKER=broker)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[1].endswith("no face yet")
    assert "/2  " in result.stdout
    assert process.stop() == 0


def test_who_looks_at_far_fewer_frames_than_asked_for_says_so(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    broker = f"mqtt://127.0.0.1:{port}"
    with stream() as server:  # of 25 frames a second
        source = f"http://127.0.0.1:{server.server_port}/live"
        process, url = detector(rig, broker, source=source, fps=60)
        sentence = "of 60 frames per second"
        await_true(lambda: sentence in process.log.read_text(), "it says so")

        def mostly_still() -> bool:
            found = metrics(url)
            return found["facefleet_frames_still_total"] > found["facefleet_frames_total"]

        await_true(mostly_still, "frames in which nothing moves are not searched")
        assert process.stop() == 0


def test_told_to_leave_it_waits_for_the_receipts_of_what_is_on_its_way(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    with Listener(port, "#") as listener:
        process, _ = detector(rig, f"mqtt://127.0.0.1:{port}")
        await_true(lambda: len(names(listener)) >= 5, "faces come")
        told_to = time.monotonic()
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - told_to >= LAST_RECEIPTS  # none came
    assert OutboxReader(rig.folder / "outbox.sqlite").counts().pending >= 5


@pytest.mark.parametrize("source", ["video", "folder", "empty folder", "device", "sample", "path"])
def test_a_source_that_gives_nothing_is_told_and_tried_again(rig: Rig, source: str) -> None:
    folder = rig.folder / "source"
    folder.mkdir()
    if source == "folder":
        (folder / "notes.jpg").write_text("no picture")
    (rig.folder / "broken.mp4").write_bytes(bytes(5000))
    process, url = detector(
        rig,
        source={
            "video": rig.folder / "broken.mp4",
            "folder": folder,
            "empty folder": folder,
            "device": "/dev/video99",
            "sample": "sample:nobody",
            "path": rig.folder / "nowhere",
        }[source],
    )
    await_true(lambda: ": " in camera_problem(url), "readiness has the sentence")
    assert not ready(url)
    await_true(lambda: "cannot connect" in unmet(url), "and the broker's")
    assert process.running()
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize("apart", [False, True])
def test_a_password_of_a_camera_is_not_told(rig: Rig, apart: bool) -> None:
    login = {"user": "user", "password": "hunter2"} if apart else {}
    address = f"{'' if apart else 'user:hunter2@'}127.0.0.1:{free_port()}/x"
    process, url = detector(rig, source=f"rtsp://{address}", **login)
    await_true(lambda: camera_problem(url) not in ("", "not available yet"), "readiness tells")
    assert "hunter2" not in unmet(url)
    assert process.stop() == 0
    assert "hunter2" not in process.log.read_text()


def settings(folder: Path, **more: object) -> dict[str, object]:
    return {
        "HTTP": f"127.0.0.1:{free_port()}",
        "DEVICE": "edge-1",
        "CAMERA": "front",
        "SOURCE": "sample:astronaut",
        "BROKER": NOBODY,
        "OUTBOX": folder / "outbox.sqlite",
        **more,
    }


def test_a_model_that_is_none(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    for content in (None, b"not a model"):
        if content:
            model.write_bytes(content)
        result = facefleet("detector", **settings(tmp_path, MODEL=model))
        assert result.returncode == 1
        assert str(model) in told(result)[-1]


def test_a_pipeline_without_gstreamer_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    pipeline = "gstreamer:rtspsrc location=rtsp://cam.lan user-pw=hunter2 ! appsink"
    result = facefleet("detector", **settings(tmp_path, SOURCE=pipeline))
    assert result.returncode == 1
    assert told(result) == [
        f"OpenCV {cv2.__version__} was built without GStreamer, which the source of this camera "
        "needs: install an OpenCV that has it (docs/cameras.md), or use another source."
    ]
    assert "hunter2" not in result.stdout + result.stderr


def test_an_outbox_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = facefleet("detector", **settings(tmp_path, OUTBOX=tmp_path / "file" / "outbox"))
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith("cannot open the outbox")
    assert sentence.endswith("check the path")


def test_the_outbox_of_another_camera(rig: Rig) -> None:
    process, url = detector(rig)
    await_true(lambda: '"camera"' not in (unmet(url) or '"camera"'), "it has made its outbox")
    assert process.stop() == 0
    result = facefleet("detector", **settings(rig.folder, CAMERA="back"))
    assert result.returncode == 1
    (sentence,) = told(result)
    assert "is the outbox of edge-1/front and not of edge-1/back" in sentence
    assert "FACEFLEET_OUTBOX" in sentence


def test_a_broken_outbox_is_set_aside_and_it_goes_on(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    with Listener(port, "#") as listener:
        process, _ = detector(rig, f"mqtt://127.0.0.1:{port}")
        await_true(lambda: names(listener), "a face comes")
        assert process.stop() == 0
        epoch = names(listener)[0].epoch
        outbox = rig.folder / "outbox.sqlite"
        outbox.write_bytes(b"\xaa" * outbox.stat().st_size)
        listener.heard.clear()
        process.start()
        await_true(lambda: {name.seq for name in names(listener)} >= {1, 2}, "it starts over")
        assert epoch not in {name.epoch for name in names(listener)}
    assert list(rig.folder.glob("outbox.sqlite.broken-*"))
    log = process.log.read_text()
    assert "outbox damaged and set aside" in log
    assert "Traceback" not in log
