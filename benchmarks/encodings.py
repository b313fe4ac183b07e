"""`python -m benchmarks.encodings`: bytes of a face by color, quality and size of its JPEG.

The faces are those of the sample, as large as cameras of three resolutions see them.
"""

from datetime import UTC, datetime
from statistics import mean

import numpy as np
from facefleet.vision.detectors import Detection, load_detector
from facefleet.vision.faces import BEST_QUALITY, DEFAULT, Encoding, cut_face
from facefleet.vision.sample import FACES, Sample

from benchmarks.bench import print_table
from benchmarks.bench_detector import MIN_FACE

FRAMES = ((640, 480), (1280, 720), (2560, 1440))
QUALITIES = (60, 75, DEFAULT.quality, BEST_QUALITY)
LENGTHS = (DEFAULT.longest, 200, 100)
_STEP = 20  # of the sample's frames one is taken
_FRAMES = 12  # of each portrait

Found = list[tuple[np.ndarray, Detection]]


def _find(size: tuple[int, int]) -> Found:
    detect, found = load_detector("yunet", MIN_FACE), []
    for name in FACES:
        camera = Sample(name, size)
        for image in map(camera.frame, range(0, _STEP * _FRAMES, _STEP)):
            found += [(image.copy(), detection) for detection in detect(image)]
    return found


def _jpegs(found: Found, encoding: Encoding) -> list[bytes]:
    now = datetime.now(UTC)
    faces = [cut_face(image, detection, now, encoding) for image, detection in found]
    return [face.encode("edge-1", "front", "yunet", "1a2b3c4d", 37) for face in faces]


def main() -> None:
    faces = {f"{width}x{height}": _find((width, height)) for width, height in FRAMES}
    heading = ["color", "max_face_size", "jpeg_quality", *(f"{size}, KB" for size in faces)]
    rows = [heading]
    for length in LENGTHS:
        for color in ("gray", "color"):
            for quality in QUALITIES:
                encoding = Encoding(color == "color", length, quality)
                sizes = [
                    mean(len(jpeg) for jpeg in _jpegs(found, encoding)) for found in faces.values()
                ]
                rows.append([color, str(length), str(quality), *(f"{s / 1000:.1f}" for s in sizes)])
    print_table(rows)
    for size, found in faces.items():
        heights = [detection.height for _, detection in found]
        print(f"{size}: {len(found)} faces, {mean(heights):.0f} pixels high on average")


if __name__ == "__main__":
    main()
