"""Find the faces of the frames that are worth a search."""

from prometheus_client import Counter, Histogram

from facefleet.regions import Regions
from facefleet.settings import DetectorSettings
from facefleet.vision.attention import Attention
from facefleet.vision.boxes import centre
from facefleet.vision.camera import Frame
from facefleet.vision.detectors import Detection, Detector
from facefleet.vision.faces import Encoding, Face, cut_face
from facefleet.vision.motion import Motion
from facefleet.vision.visits import Candidate

FRAMES = Counter("facefleet_frames", "Frames searched for faces")
STILL = Counter("facefleet_frames_still", "Frames not searched for faces, as nothing moved")
DETECTED = Counter("facefleet_faces_detected", "Faces detected in frames")
DETECTION = Histogram("facefleet_detection_seconds", "Time to detect faces in one frame")


class Search:
    """Finds the faces to choose from."""

    def __init__(self, settings: DetectorSettings, detector: Detector) -> None:
        self._detector = detector
        self._encoding = Encoding(
            settings.color == "color",
            settings.max_face_size,
            settings.jpeg_quality,
            settings.faces_only,
            settings.max_face_bytes,
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
