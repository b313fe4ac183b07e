"""The detector's loop: frame by frame, from the camera to the sender."""

import threading
import time
from collections.abc import Callable, Iterable

from prometheus_client import Counter

from facefleet.delivery.backlog import Rank
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health, serve_health
from facefleet.logging import log
from facefleet.runtime import freeze_gc, on_shutdown
from facefleet.services.detector.search import Search
from facefleet.services.detector.watch import Watch
from facefleet.settings import DetectorSettings
from facefleet.vision.addresses import with_login
from facefleet.vision.camera import Camera
from facefleet.vision.detectors import load_detector
from facefleet.vision.faces import Face
from facefleet.vision.options import Options
from facefleet.vision.sources import check_source
from facefleet.vision.visits import BestOfVisit, Choice, Chooser, EveryFace

BROKEN = Counter("facefleet_frames_broken", "Packets and frames that could not be decoded")
VISITS = Counter("facefleet_visits", "Visits of which a face was captured")


def run(settings: DetectorSettings) -> None:
    """Detect faces until SIGTERM, then end the visits and commit what was captured."""
    stop = threading.Event()
    on_shutdown(stop.set)
    health = Health(
        "camera", "broker", "outbox", service=f"detector {settings.device}/{settings.camera}"
    )
    loop = _Loop(settings, health, stop)
    serve_health(settings.http, health)
    loop.run()


class _Loop:
    def __init__(self, settings: DetectorSettings, health: Health, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        check_source(settings.source)
        self._detector = load_detector(settings.detector, settings.min_face, settings.model)
        outbox = Outbox(
            settings.outbox, settings.device, settings.camera, settings.outbox_max_bytes
        )
        health.set("outbox", None)
        self._watch = Watch(settings.fps, health)
        self._search = Search(settings, self._detector)
        self._chooser: Chooser[Face] = (
            BestOfVisit(settings.faces_per_visit) if settings.capture == "visits" else EveryFace()
        )
        self._sender = Sender(
            outbox,
            settings.broker,
            settings.qos,
            settings.window,
            health,
            self._watch.status,
            self._watch.coverage,
            settings.uplink_hours,
        )

    def run(self) -> None:
        self._sender.start()
        freeze_gc()
        log.info("watching", detector=self._detector.name)
        camera = _camera(self._settings, self._on_state, self._stop)
        broken = 0
        try:
            for frame in camera:
                began = time.monotonic()
                self._watch.look(frame, began)
                BROKEN.inc(camera.broken - broken)
                broken = camera.broken
                if frame.cut:
                    self._capture(self._chooser.end())
                self._capture(self._chooser.choose(self._search.candidates(frame, began), began))
                self._sender.check()
                self._watch.finished(began)
            self._capture(self._chooser.end())
        finally:
            self._sender.stop()
        self._sender.check()

    def _on_state(self, state: str | None) -> None:
        self._watch.stream(state)
        if state is not None:
            self._capture(self._chooser.end())
            self._sender.check()

    def _capture(self, choices: Iterable[Choice[Face]]) -> None:
        for choice in choices:
            if choice.first:
                VISITS.inc()
            face = choice.picture
            jpeg = face.encode(
                self._settings.device,
                self._settings.camera,
                self._detector.name,
                choice.visit,
                choice.candidates,
            )
            is_further = choice.visit is not None and not choice.first
            rank = Rank.FURTHER if is_further else Rank.FIRST
            self._sender.put(face.captured, jpeg, self._stop, rank)


def _camera(
    settings: DetectorSettings, on_state: Callable[[str | None], None], stop: threading.Event
) -> Camera:
    source = settings.source
    if settings.user is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        source = with_login(source, settings.user, password)
    options = Options(settings.pixel_format, settings.resolution, settings.rotation)
    return Camera(source, settings.fps, on_state, stop, options, settings.schedule)
