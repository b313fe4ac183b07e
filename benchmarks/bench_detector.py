"""What ours adds to the bare OpenCV loop: frames a second on the same recorded frames.

Bare: cv2.VideoCapture, the detector called as ours calls it, cv2.imencode; nothing else.
Ours: vision's camera, detector and faces, and every face put through a real outbox and sender, with
a broker, a processor and a sink, so that receipts come too. Each run is a process of its own.
"""

import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health
from facefleet.logging import configure_logging
from facefleet.runtime import freeze_gc
from facefleet.settings import DetectorSettings
from facefleet.vision import detectors
from facefleet.vision.boxes import Box, overlap
from facefleet.vision.camera import Camera
from facefleet.vision.detectors import load_detector
from facefleet.vision.faces import cut_face
from facefleet.vision.sample import FACES, Sample
from pydantic import AnyUrl

from support.rig import BUCKET, Rig

SIZES = ((640, 480), (1280, 720))
DETECTORS = ("haar", "yunet")
MIN_FACE = DetectorSettings.model_fields["min_face"].default  # pixels
OVERLAP = 0.4  # intersection over union: from here on a detection is the face
_STEP = 5  # of the sample's frames one is taken, so that all of its round is seen
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Run:
    """One loop over all frames."""

    loop: str  # "bare" or "ours"
    rate: float  # frames a second
    faces: int


# -- the loops -------------------------------------------------------------------------------------


def _bare(pipe: Connection, video: str, detector: str, frames: int, _broker: str) -> None:
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(video)
    haar = cv2.CascadeClassifier(str(detectors._HAAR))
    scale = min(1.0, detectors._YUNET_FACE / MIN_FACE)
    yunet = cv2.FaceDetectorYN.create(str(detectors._YUNET), "", (64, 64), detectors._YUNET_SCORE)
    faces = 0
    for n in range(frames):
        if n == 1:  # the first is slower, in both loops
            began, faces = time.monotonic(), 0
        _, image = capture.read()
        if detector == "yunet":
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            if n == 0:
                yunet.setInputSize(small.shape[1::-1])
            _, found = yunet.detect(small)
            boxes = [] if found is None else (found[:, :4] / scale).clip(0).astype(int)
        else:
            gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            boxes = haar.detectMultiScale(
                gray,
                scaleFactor=detectors._HAAR_STEP,
                minNeighbors=detectors._HAAR_NEIGHBOURS,
                minSize=(MIN_FACE, MIN_FACE),
            )
        for x, y, width, height in boxes:
            crop = cv2.cvtColor(image[y : y + height, x : x + width], cv2.COLOR_BGR2GRAY)
            cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 90])
            faces += 1
    pipe.send(Run("bare", (frames - 1) / (time.monotonic() - began), faces))


def _ours(pipe: Connection, video: str, name: str, frames: int, broker: str) -> None:
    configure_logging("detector", "error")
    detector = load_detector(name, MIN_FACE)
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder, "outbox.sqlite"), "edge-1", "front", 1 << 30)
        sender = Sender(outbox, AnyUrl(broker), 0, 256, Health("broker"))
        sender.start()
        freeze_gc()
        faces = 0
        for n, frame in enumerate(Camera(video, 100_000, lambda _problem: None, stop), 1):
            for detection in detector(frame.image):
                face = cut_face(frame.image, detection, frame.captured)
                sender.put(face.captured, face.encode("edge-1", "front", detector.name), stop)
                faces += 1
            if n == 1:
                began, faces = time.monotonic(), 0
            if n == frames:
                break
        seconds = time.monotonic() - began
        sender.stop()
    pipe.send(Run("ours", (frames - 1) / seconds, faces))


def _run(loop, video: Path, detector: str, frames: int, broker: str) -> Run:
    pipe, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=loop, args=(theirs, str(video), detector, frames, broker))
    process.start()
    theirs.close()
    found = pipe.recv()
    process.join()
    return found


# -- the frames ------------------------------------------------------------------------------------


def _film(path: Path, size: tuple[int, int], frames: int) -> list[Box | None]:
    """Write the samples as uncompressed video, half of the frames each.

    Returns where the face is in each frame.
    """
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"I420"), 30, size)
    if not writer.isOpened():
        raise RuntimeError(f"OpenCV cannot write {path}")
    truths = []
    for name in FACES:
        sample = Sample(name, size)
        for n in range(0, _STEP * (frames // len(FACES)), _STEP):
            writer.write(sample.frame(n))
            truths.append(sample.truth(n))
    writer.release()
    return truths


def _frames(path: Path) -> Iterable[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    while (answer := capture.read())[0]:
        yield answer[1]


def _quality(video: Path, truths: list[Box | None], name: str) -> tuple[float, float]:
    """Recall and precision of ours on the film."""
    detector = load_detector(name, MIN_FACE)
    hits = found = 0
    for image, truth in zip(_frames(video), truths, strict=True):
        detections = detector(image)
        found += len(detections)
        hits += truth is not None and any(overlap(one.box, truth) >= OVERLAP for one in detections)
    return hits / sum(truth is not None for truth in truths), hits / max(1, found)


# -- the measurement -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One detector on frames of one size, in every repetition."""

    detector: str
    size: tuple[int, int]
    bare: list[Run]
    ours: list[Run]  # the repetition of the same place
    recall: float
    precision: float


def measure(frames: int, repetitions: int) -> list[Case]:
    """Measure each detector on frames of each size."""
    cases = []
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        _, port = rig.mosquitto("broker")
        _, endpoint = rig.sink()
        broker = f"mqtt://127.0.0.1:{port}"
        rig.service("processor", broker=broker, bucket=BUCKET, AWS_ENDPOINT_URL=endpoint)
        for size in SIZES:
            video = Path(folder, "film.avi")
            truths = _film(video, size, frames)
            for name in DETECTORS:
                runs = {_bare: [], _ours: []}
                for repetition in range(repetitions):
                    for loop in list(runs)[:: 1 if repetition % 2 else -1]:
                        run = _run(loop, video, name, len(truths), broker)
                        runs[loop].append(run)
                        print(
                            f"{repetition + 1}/{repetitions} {name} {size[0]}x{size[1]} "
                            f"{run.loop}: {run.rate:.1f} frames/s, {run.faces} faces",
                            file=sys.stderr,
                        )
                quality = _quality(video, truths, name)
                cases.append(Case(name, size, runs[_bare], runs[_ours], *quality))
    return cases
