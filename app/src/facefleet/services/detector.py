"""Camera to outbox: look at frames, cut the faces out, hand each to the sender."""

import threading

from prometheus_client import Counter, Histogram

from facefleet import telemetry
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.settings import DetectorSettings
from facefleet.telemetry import Health, log
from facefleet.vision.camera import Camera
from facefleet.vision.detectors import load_detector
from facefleet.vision.faces import encode_face

FRAMES = Counter("facefleet_frames", "Frames that were looked at")
DETECTION = Histogram("facefleet_detection_seconds", "Looking at one frame")


def run(settings: DetectorSettings) -> None:
    """Run until SIGTERM; then commit what was seen and leave."""
    stop = threading.Event()
    telemetry.on_terminate(stop.set)
    health = Health("camera", "broker", "outbox")
    detector = load_detector(settings.model, settings.min_face)
    outbox = Outbox(settings.outbox, settings.device, settings.camera, settings.outbox_max_bytes)
    health.set("outbox", None)
    sender = Sender(outbox, settings.broker, settings.qos, settings.window, health)

    def camera_state(problem: str | None) -> None:
        health.set("camera", problem)
        sender.camera(problem)

    telemetry.serve(settings.http, health)
    sender.start()
    telemetry.spare_the_collector()
    log.info("watching", detector=detector.name)
    try:
        for frame in Camera(settings.source, settings.fps, camera_state, stop):
            FRAMES.inc()
            with DETECTION.time():
                found = detector(frame.image)
            for detection in found:
                jpeg = encode_face(
                    frame.image,
                    detection,
                    device=settings.device,
                    camera=settings.camera,
                    captured=frame.captured,
                    detector=detector.name,
                )
                sender.put(frame.captured, jpeg, stop)
            sender.check()
    finally:
        sender.stop()
    sender.check()
