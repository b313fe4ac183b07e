"""A labelled clip of visits: the sample's portraits walk, cross, hide, hurry and wait.

`play` searches it for faces and chooses among them, as the detector does.

Every frame is computed from its time, so that a clip of any frame rate shows the same visits, and
the same frame is the same each time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import cv2
import numpy as np
from facefleet.vision.attention import Attention
from facefleet.vision.boxes import Box, overlap
from facefleet.vision.detectors import load_detector
from facefleet.vision.faces import cut_face
from facefleet.vision.motion import Motion
from facefleet.vision.sample import FACES, portrait
from facefleet.vision.visits import Candidate, Choice, Chooser

SIZE = (640, 480)
SECONDS = 72.0
VISIBLE = 0.6  # of a face: from here on it can be expected to be found
_OVERLAP = 0.4  # intersection over union: from here on a box is that of the face


@dataclass(frozen=True)
class Visit:
    """One person's way: (second, x and y of the face's centre, its height), and straight between.

    A person with a larger face is nearer to the camera, and hides others. `blur` is the second
    until which the picture of the person is blurred.
    """

    name: str
    person: str
    way: tuple[tuple[float, float, float, float], ...]
    blur: float = 0.0


@dataclass(frozen=True)
class Truth:
    """Where a visit's face is in a frame; `visible` is the share that nothing hides."""

    visit: str
    box: Box
    visible: float


def shown(box: Box, truths: list[Truth]) -> Truth | None:
    """The face that a detected box shows, if it shows one."""
    best = max(truths, key=lambda truth: overlap(box, truth.box), default=None)
    return best if best and overlap(box, best.box) >= _OVERLAP else None


def _across(begin: float, seconds: float, y: float, height: float, left: bool = False):
    ends = (-90.0, SIZE[0] + 90.0)
    first, last = ends[::-1] if left else ends
    return ((begin, first, y, height), (begin + seconds, last, y, height))


_PILLAR = (22.0, 31.0, 280, 350)  # seconds from and to which there is one, and its left and right

VISITS = (
    Visit("stroll", "astronaut", _across(1, 7, 190, 110)),
    Visit("oncoming", "hopper", _across(2.5, 6, 215, 130, left=True)),
    Visit("hurry", "astronaut", _across(11, 1.6, 180, 95)),
    Visit("wait", "hopper", ((13.5, 440, 220, 120), (20, 440, 220, 120))),
    Visit("pass in front", "astronaut", _across(14.5, 3.5, 235, 160)),
    Visit("behind a pillar", "astronaut", _across(23, 7, 200, 110)),
    Visit(
        "leave",
        "astronaut",
        ((33, 300, 200, 115), (35, 300, 200, 115), (36.5, 730, 200, 115)),
    ),
    Visit(
        "enter where one left",
        "hopper",
        ((37.2, 730, 205, 115), (39, 400, 205, 115), (41, -90, 205, 115)),
    ),
    Visit(
        "talk, left",
        "astronaut",
        ((43, 250, 210, 120), (46, 270, 200, 120), (50, 245, 215, 120)),
    ),
    Visit(
        "talk, right",
        "hopper",
        ((43.5, 400, 215, 130), (47, 380, 210, 130), (50.5, 405, 215, 130)),
    ),
    Visit("glimpse", "hopper", ((52, 330, 220, 110), (52.7, 330, 220, 110))),
    Visit("come near", "hopper", ((55, 240, 200, 64), (61, 330, 230, 240)), blur=58.5),
    Visit(
        "peek",
        "astronaut",
        ((63, 690, 210, 120), (63.8, 608, 210, 120), (64.8, 690, 210, 120)),
    ),
    Visit("stay", "astronaut", ((67, 330, 210, 130), (SECONDS + 1, 330, 210, 130))),
)


class Clip:
    """The frames, at `fps` a second, of these visits."""

    def __init__(self, fps: float, visits: Sequence[Visit] = VISITS) -> None:
        self.fps = fps
        self.visits = visits
        self.frames = int(SECONDS * fps)
        self._people = {name: _cut_out(name) for name in FACES}
        blurred = {
            name: cv2.GaussianBlur(image, (0, 0), 9) for name, (image, *_) in self._people.items()
        }
        self._blurred = {name: (image, *self._people[name][1:]) for name, image in blurred.items()}
        width, height = SIZE
        rng = np.random.default_rng(0)
        self._wall = cv2.resize(rng.integers(60, 120, (6, 8, 3), dtype=np.uint8), SIZE)
        self._noise = rng.normal(128, 6, (height + 32, width + 32, 3)).clip(0, 255).astype(np.uint8)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray, list[Truth]]]:
        """Yield each frame's second, the image ((height, width, 3), uint8, BGR) and its truth."""
        for n in range(self.frames):
            yield n / self.fps, self.frame(n), self.truth(n)

    def frame(self, n: int) -> np.ndarray:
        second, (width, height) = n / self.fps, SIZE
        image = self._wall.copy()
        for visit, (x, y, tall) in sorted(self._there(second), key=lambda each: each[1][2]):
            people = self._blurred if second < visit.blur else self._people
            photo, mask, face = people[visit.person]
            zoom = tall / face[3]
            shift = np.array(
                [
                    [zoom, 0, x - zoom * (face[0] + face[2] / 2)],
                    [0, zoom, y - zoom * (face[1] + face[3] / 2)],
                ]
            )
            alpha = cv2.warpAffine(mask, shift, SIZE)[..., None]
            image = (image * (1 - alpha) + cv2.warpAffine(photo, shift, SIZE) * alpha).astype(
                np.uint8
            )
        begin, end, left, right = _PILLAR
        if begin <= second < end:
            image[:, left:right] = (90, 100, 110)
        top, start = np.random.default_rng(n).integers(32, size=2)
        light = 0.9 + 0.1 * np.sin(second / 3)
        noise = self._noise[top : top + height, start : start + width]
        return cv2.addWeighted(image, float(light), noise, 1.0, -128.0)

    def truth(self, n: int) -> list[Truth]:
        second = n / self.fps
        found = []
        people = sorted(self._there(second), key=lambda each: each[1][2], reverse=True)
        free = np.ones(SIZE[::-1], bool)
        begin, end, left, right = _PILLAR
        if begin <= second < end:
            free[:, left:right] = False
        for visit, (x, y, tall) in people:
            face = FACES[visit.person]
            wide = tall * face[2] / face[3]
            x0, y0, x1, y1 = (
                round(side) for side in (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
            )
            inside = tuple(
                slice(max(0, first), max(0, last)) for first, last in ((y0, y1), (x0, x1))
            )
            visible = free[inside].sum() / ((x1 - x0) * (y1 - y0))
            found.append(Truth(visit.name, (x0, y0, x1 - x0, y1 - y0), float(visible)))
            free[inside] = False
        return found

    def _there(self, second: float) -> list[tuple[Visit, tuple[float, float, float]]]:
        found = []
        for visit in self.visits:
            seconds, *places = zip(*visit.way, strict=True)
            if seconds[0] <= second < seconds[-1]:
                x, y, tall = (float(np.interp(second, seconds, values)) for values in places)
                found.append((visit, (x, y, tall)))
        return found


@dataclass(frozen=True)
class Captured:
    """A face that was chosen; `visit` is the one that it shows, by the clip's truth."""

    second: float  # of its frame
    chosen: float  # second
    visit: str | None
    quality: float
    choice: Choice
    jpeg: bytes


def play(clip: Clip, chooser: Chooser, detector: str = "yunet") -> list[Captured]:
    """Capture the faces that `chooser` chooses, to the end of the clip."""
    detect, attention, found = load_detector(detector, 60), Attention(Motion(60)), []
    for second, image, truths in clip:
        captured = datetime.fromtimestamp(second, UTC)
        wanted = attention.wants(image, cut=False, now=second)
        faces = [cut_face(image, one, captured) for one in detect(image)] if wanted else []
        if faces:
            attention.saw_face(second)
        candidates = [
            Candidate(face.detection.box, face.quality, (face, shown(face.detection.box, truths)))
            for face in faces
        ]
        found += [(second, choice) for choice in chooser.choose(candidates, second)]
    found += [(SECONDS, choice) for choice in chooser.end()]
    return [_captured(chosen, choice) for chosen, choice in found]


def _captured(chosen: float, choice: Choice) -> Captured:
    face, truth = choice.picture
    jpeg = face.encode("edge-1", "front", "yunet", choice.visit, choice.candidates)
    visit = truth.visit if truth else None
    return Captured(face.captured.timestamp(), chosen, visit, face.quality, choice, jpeg)


def _cut_out(name: str) -> tuple[np.ndarray, np.ndarray, Box]:
    """Portrait, a mask of head and shoulders, and the face's box."""
    photo = portrait(name)
    x, y, width, height = FACES[name]
    mask = np.zeros(photo.shape[:2], np.float32)
    centre = (x + width // 2, y + height // 2)
    cv2.ellipse(mask, centre, (int(0.8 * width), int(0.85 * height)), 0, 0, 360, 1.0, -1)
    return photo, cv2.GaussianBlur(mask, (0, 0), 3), (x, y, width, height)
