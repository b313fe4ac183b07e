"""Detect faces in a camera's frames, and hand those to capture to the sender."""

import threading
import time
from collections.abc import Callable, Iterable

from prometheus_client import Counter, Gauge, Histogram

from facefleet.delivery.backlog import Rank
from facefleet.delivery.coverage import Meter
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health, serve_health
from facefleet.logging import log
from facefleet.regions import Regions
from facefleet.runtime import freeze_gc, on_shutdown
from facefleet.settings import DetectorSettings
from facefleet.views import NO_STREAM, OFF, REMEDIES, SEEN, View
from facefleet.vision.addresses import with_login
from facefleet.vision.attention import Attention
from facefleet.vision.boxes import centre
from facefleet.vision.camera import Camera, Frame
from facefleet.vision.detectors import Detection, Detector, load_detector
from facefleet.vision.faces import Encoding, Face, cut_face
from facefleet.vision.motion import Motion
from facefleet.vision.options import Options
from facefleet.vision.rate import FrameRate
from facefleet.vision.sources import check_source
from facefleet.vision.view import ViewJudge
from facefleet.vision.visits import BestOfVisit, Candidate, Choice, Chooser, EveryFace

FRAMES = Counter("facefleet_frames", "Frames searched for faces")
STILL = Counter("facefleet_frames_still", "Frames not searched for faces, as nothing moved")
BROKEN = Counter("facefleet_frames_broken", "Packets and frames that could not be decoded")
RATE = Gauge("facefleet_frame_rate_hertz", "Frames recently watched per second, searched or still")
DETECTED = Counter("facefleet_faces_detected", "Faces detected in frames")
VISITS = Counter("facefleet_visits", "Visits of which a face was captured")
VIEW = Gauge("facefleet_camera_view", "1 for what the camera's view is now", ["view"])
DETECTION = Histogram("facefleet_detection_seconds", "Time to detect faces in one frame")


def run(settings: DetectorSettings) -> None:
    """Detect faces until SIGTERM, then end the visits and commit what was captured."""
    stop = threading.Event()
    on_shutdown(stop.set)
    health = Health(
        "camera", "broker", "outbox", service=f"detector {settings.device}/{settings.camera}"
    )
    check_source(settings.source)
    detector = load_detector(settings.detector, settings.min_face, settings.model)
    outbox = Outbox(settings.outbox, settings.device, settings.camera, settings.outbox_max_bytes)
    health.set("outbox", None)
    rate = FrameRate(settings.fps, time.monotonic())
    RATE.set_function(lambda: rate.reached(time.monotonic()) or 0)
    problem: str | None = "The camera has not sent a frame yet."
    coverage = Meter(settings.fps, time.monotonic())
    watch = _Watch(coverage)

    def camera_state(now: str | None) -> None:
        nonlocal problem
        problem = None if now == OFF else now
        health.set("camera", problem)
        watch.stream(now is None, is_off=now == OFF)
        if now is None:
            rate.restarted(time.monotonic())
        else:
            capture(chooser.end())
            sender.check()

    def about_camera() -> dict[str, object]:
        return {
            "camera": problem or "ok",
            "view": watch.word,
            "fps": rate.reached(time.monotonic()),
            "fps_wanted": rate.wanted,
        }

    chooser: Chooser[Face] = (
        BestOfVisit(settings.faces_per_visit) if settings.capture == "visits" else EveryFace()
    )

    def capture(choices: Iterable[Choice[Face]]) -> None:
        for choice in choices:
            if choice.first:
                VISITS.inc()
            face = choice.picture
            jpeg = face.encode(
                settings.device, settings.camera, detector.name, choice.visit, choice.candidates
            )
            is_further = choice.visit is not None and not choice.first
            sender.put(face.captured, jpeg, stop, Rank.FURTHER if is_further else Rank.FIRST)

    search = _Search(settings, detector)
    sender = Sender(
        outbox,
        settings.broker,
        settings.qos,
        settings.window,
        health,
        about_camera,
        coverage,
        settings.uplink_hours,
    )

    serve_health(settings.http, health)
    sender.start()
    freeze_gc()
    log.info("watching", detector=detector.name)
    camera = _camera(settings, camera_state, stop)
    broken = 0
    try:
        for frame in camera:
            began = time.monotonic()
            watch.look(frame, began)
            BROKEN.inc(camera.broken - broken)
            broken = camera.broken
            if frame.cut:
                capture(chooser.end())
            capture(chooser.choose(search.candidates(frame, began), began))
            sender.check()
            now = time.monotonic()
            rate.looked(began, now)
            if (change := rate.change(now)) is not None:
                slow, sentence = change
                (log.warning if slow else log.info)(sentence)
        capture(chooser.end())
    finally:
        sender.stop()
    sender.check()


class _Watch:
    """Judges the view of a live camera, and says what it is: in log, metric and coverage.

    A bad view does not affect readiness: no restart uncovers a lens, and faces are still searched.
    """

    def __init__(self, coverage: Meter) -> None:
        self._judge = ViewJudge()
        self._coverage = coverage
        self._has_stream = False
        self._is_off = False
        self._show()

    @property
    def word(self) -> str | None:
        """What the status says of the view: OFF, what is wrong with it, or None."""
        return OFF if self._is_off else self.fault

    @property
    def fault(self) -> View | None:
        """What is wrong with the view, or None."""
        view = self._judge.view
        return view if self._has_stream and view is not View.GOOD else None

    def stream(self, has_stream: bool, *, is_off: bool = False) -> None:
        """Take note that frames arrive (again), or no longer do, as a schedule wants it or not."""
        self._has_stream, self._is_off = has_stream, is_off
        self._judge.restarted()
        self._show()

    def look(self, frame: Frame, now: float) -> None:
        self._coverage.looked(now, time.time())
        if not frame.live or not self._judge.look(frame.image, now):
            return
        self._show()
        if self.fault:
            log.warning("bad view", view=self.fault, problem=REMEDIES[self.fault])
        else:
            log.info("good view again")

    def _show(self) -> None:
        state = self.word or (SEEN if self._has_stream else NO_STREAM)
        self._coverage.change(state, time.monotonic(), time.time())
        for view in View:
            VIEW.labels(view).set(self._has_stream and view is self._judge.view)


def _camera(
    settings: DetectorSettings, on_state: Callable[[str | None], None], stop: threading.Event
) -> Camera:
    source = settings.source
    if settings.user is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        source = with_login(source, settings.user, password)
    options = Options(settings.pixel_format, settings.resolution, settings.rotation)
    return Camera(source, settings.fps, on_state, stop, options, settings.schedule)


class _Search:
    """Finds the faces of the frames that are worth a search."""

    def __init__(self, settings: DetectorSettings, detector: Detector) -> None:
        self._detector = detector
        self._encoding = Encoding(
            settings.color == "color",
            settings.max_face_size,
            settings.jpeg_quality,
            settings.faces_only,
        )
        self._regions = Regions(settings.include or (), settings.exclude or ())
        self._every = settings.search == "every"
        self._attention = Attention(Motion(settings.min_face, self._regions))

    def candidates(self, frame: Frame, now: float) -> list[Candidate[Face]]:
        if not (self._every or self._attention.wants(frame.image, cut=frame.cut, now=now)):
            STILL.inc()
            return []
        FRAMES.inc()
        with DETECTION.time():
            detected = self._detector(frame.image)
        found = [one for one in detected if self._counts(one, frame)]
        DETECTED.inc(len(found))
        if found:
            self._attention.saw_face(now)
        faces = [
            cut_face(frame.image, one, frame.captured, self._encoding, detected) for one in found
        ]
        return [Candidate(face.detection.box, face.quality, face) for face in faces]

    def _counts(self, face: Detection, frame: Frame) -> bool:
        (x, y), (height, width) = centre(face.box), frame.image.shape[:2]
        return self._regions.count(x / width, y / height)
