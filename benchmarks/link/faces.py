"""Faces as the detector makes them of the sample, each with a content of its own."""

from datetime import UTC, datetime

from facefleet.vision.detectors import load_detector
from facefleet.vision.faces import cut_face
from facefleet.vision.sample import FACES, Sample

from benchmarks.feeder import CAMERA, DEVICE

_STEP = 5  # frames from one crop to the next
_TALLEST = 145  # pixels; the portraits also come nearer than people do to most cameras
_SOI = b"\xff\xd8"
_COMMENT = b"\xff\xfe\x00\x0a"  # a JPEG's comment of eight bytes


def sample_crops(count: int = 24) -> list[bytes]:
    """Detect, crop and encode `count` faces of the bundled portraits."""
    detector = load_detector("yunet", 60)
    captured = datetime.now(UTC)
    crops: list[bytes] = []
    samples = [Sample(name) for name in FACES]
    for n in range(0, 100 * _STEP, _STEP):
        for sample in samples:
            frame = sample.frame(n)
            for found in detector(frame):
                if found.height > _TALLEST:
                    continue
                face = cut_face(frame, found, captured)
                crops.append(face.encode(DEVICE, CAMERA, detector.name, "0123abcd", 5))
        if len(crops) >= count:
            return crops[:count]
    raise RuntimeError(f"the sample shows {len(crops)} faces instead of {count}")


def numbered(crops: list[bytes], number: int) -> bytes:
    """Return a crop that contains its number, so that no two faces have the same content."""
    crop = crops[number % len(crops)]
    return _SOI + _COMMENT + number.to_bytes(8, "big") + crop[len(_SOI) :]
