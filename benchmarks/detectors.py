"""`python -m benchmarks.detectors`: how many faces each detector finds, and how fast.

The sample shows one face in most of its frames. If scikit-image is installed, its photographs are
searched, too: the astronaut has one face, 200 small pictures (`lfw_subset`) are half of faces and
half of anything else, and the others have none.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from facefleet.vision.boxes import Box, overlap
from facefleet.vision.detectors import Detector, load_detector
from facefleet.vision.sample import FACES, Sample

from benchmarks.bench import print_table
from benchmarks.bench_detector import MIN_FACE, OVERLAP, SIZES

DETECTORS = ("yunet", "haar")
_STEP = 5  # of the sample's frames one is taken, so that all of its round is seen
_FRAMES = 120  # of each sample
_SMALL = 25  # pixels of a picture in lfw_subset
_ZOOM = 4  # they are enlarged by this, as faces of 100 pixels
_NO_FACES = (
    *("brick", "cell", "chelsea", "coffee", "coins", "grass", "gravel", "horse", "ihc", "moon"),
    *("motorcycle_left", "motorcycle_right", "page", "text", "hubble_deep_field", "retina"),
    "rocket",
)


@dataclass
class Count:
    """What a detector found in several pictures."""

    pictures: int = 0
    faces: int = 0
    hits: int = 0
    found: int = 0
    seconds: float = 0.0  # of CPU

    def add(self, detect: Detector, image: np.ndarray, truth: Box | None) -> None:
        """Search `image`, which has a face in the box `truth`, or none."""
        began = time.process_time()
        detections = detect(image)
        self.seconds += time.process_time() - began
        self.pictures += 1
        self.faces += truth is not None
        self.found += len(detections)
        self.hits += truth is not None and any(
            overlap(one.box, truth) >= OVERLAP for one in detections
        )

    @property
    def row(self) -> list[str]:
        return [
            f"{self.hits} of {self.faces}",
            f"{self.hits / self.faces:.3f}",
            str(self.found - self.hits),
            f"{self.hits / max(1, self.found):.3f}",
            f"{self.pictures / self.seconds:.0f}",
        ]


def sample(size: tuple[int, int]) -> Iterable[tuple[np.ndarray, Box | None]]:
    for name in FACES:
        camera = Sample(name, size)
        for n in range(0, _STEP * _FRAMES, _STEP):
            yield camera.frame(n), camera.truth(n)


def photographs() -> Iterable[tuple[np.ndarray, Box | None]]:
    """The pictures of scikit-image, without running its code."""
    folder = Path(find_spec("skimage").origin).parent / "data"
    yield cv2.imread(str(folder / "astronaut.png")), FACES["astronaut"]
    for name in _NO_FACES:
        (file,) = [path for path in folder.glob(f"{name}.*") if path.suffix in (".png", ".jpg")]
        yield cv2.imread(str(file), cv2.IMREAD_COLOR), None
    side = _SMALL * _ZOOM
    for n, small in enumerate(np.load(folder / "lfw_subset.npy")):
        large = cv2.resize((255 * small).astype(np.uint8), (side, side))
        framed = cv2.copyMakeBorder(large, *(side,) * 4, cv2.BORDER_CONSTANT, value=128)
        yield cv2.cvtColor(framed, cv2.COLOR_GRAY2BGR), (side,) * 4 if n < 100 else None


def main() -> None:
    sets = {f"sample {width}x{height}": sample((width, height)) for width, height in SIZES}
    if find_spec("skimage") is not None:
        sets["photographs"] = photographs()
    rows = [["", "", "found", "recall", "false", "precision", "pictures per CPU second"]]
    for name, pictures in sets.items():
        counts = {detector: (load_detector(detector, MIN_FACE), Count()) for detector in DETECTORS}
        for image, truth in pictures:
            for detect, count in counts.values():
                count.add(detect, image, truth)
        rows += [[name, detector, *count.row] for detector, (_, count) in counts.items()]
    print_table(rows)
    if find_spec("skimage") is None:
        print("\nFor the photographs, run `pip install scikit-image` first.")


if __name__ == "__main__":
    main()
