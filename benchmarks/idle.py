"""`python -m benchmarks.idle`: CPU of a camera with 10 frames a second of 1280x720, as Motion JPEG.

CPU time, not wall time, of the detector's loop and of the reader process that decodes; interleaved.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from facefleet.vision.attention import INTERVAL, LINGER, Attention
from facefleet.vision.camera import Camera
from facefleet.vision.detectors import load_detector
from facefleet.vision.faces import cut_face
from facefleet.vision.motion import Motion
from facefleet.vision.sample import Sample
from facefleet.vision.view import ViewJudge
from facefleet.vision.visits import BestOfVisit, Candidate

from benchmarks.bench import print_table
from benchmarks.bench_detector import MIN_FACE
from support.rig import cpu

SIZE = (1280, 720)
RATE = 10  # frames a second
REPETITIONS = 3
_NOISE = 4.0  # standard deviation of a pixel
_SETTLE = int((LINGER + INTERVAL) * RATE)  # frames until a still scene is no longer searched


def _still(n: int) -> np.ndarray:
    """Return a frame of an empty room, with a sensor's noise."""
    width, height = SIZE
    wall = np.random.default_rng(0).integers(60, 120, (6, 8, 3), dtype=np.uint8)
    noise = np.random.default_rng(n).normal(128, _NOISE, (height, width, 3)).astype(np.uint8)
    return cv2.addWeighted(cv2.resize(wall, SIZE), 1.0, noise, 1.0, -128.0)


def _film(path: Path, frame: Callable[[int], np.ndarray], frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), RATE, SIZE)
    for n in range(frames):
        writer.write(frame(n))
    writer.release()
    return path


def measure(film: Path, frames: int, *, gate: bool) -> tuple[float, float, float]:
    """Return CPU milliseconds a frame, of loop and reader, and the share that was searched."""
    detect, attention = load_detector("yunet", MIN_FACE), Attention(Motion(MIN_FACE))
    chooser, judge, searched = BestOfVisit(3), ViewJudge(), 0
    camera = Camera(str(film), 100_000, lambda _state: None, threading.Event())
    source = iter(camera)
    for n, frame in enumerate(source):
        now = n / RATE
        if n == _SETTLE:
            reader = camera._feed._process.pid
            began, of_reader, searched = time.process_time(), cpu(reader), 0
        faces = []
        if not gate or attention.wants(frame.image, cut=False, now=now):
            searched += 1
            faces = [cut_face(frame.image, one, frame.captured) for one in detect(frame.image)]
            if faces:
                attention.saw_face(now)
        chooser.choose([Candidate(one.detection.box, one.quality, one) for one in faces], now)
        judge.look(frame.image, now)
        if n + 1 == _SETTLE + frames:
            break
    loop, decoding = time.process_time() - began, cpu(reader) - of_reader
    source.close()
    return 1000 * loop / frames, 1000 * decoding / frames, searched / frames


def main(frames: int = 100) -> None:
    sample = Sample("astronaut", SIZE)
    with tempfile.TemporaryDirectory() as folder:
        still = _film(Path(folder, "still.avi"), _still, 50)
        moving = _film(Path(folder, "moving.avi"), lambda n: sample.frame(2 * n), 50)
        cases = {
            "nothing moves, moving": (still, True),
            "nothing moves, every": (still, False),
            "a face moves, moving": (moving, True),
            "a face moves, every": (moving, False),
        }
        found = {name: [] for name in cases}
        for _ in range(REPETITIONS):
            for name, (film, gate) in cases.items():
                found[name].append(measure(film, frames, gate=gate))
    rows = [["scene, search", "searched", "loop, ms a frame", "reader", "share of a core"]]
    for name, runs in found.items():
        loop, reader, searched = map(median, zip(*runs, strict=True))
        share = RATE * (loop + reader) / 1000
        rows.append([name, f"{searched:.0%}", f"{loop:.1f}", f"{reader:.1f}", f"{share:.1%}"])
    print_table(rows)


if __name__ == "__main__":
    main()
