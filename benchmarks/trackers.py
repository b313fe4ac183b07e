"""`python -m benchmarks.trackers`: how well trackers follow the faces of the labelled clip.

norfair and edgefirst-tracker are measured if they are installed.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from importlib.util import find_spec
from statistics import median

import numpy as np
from facefleet.vision.boxes import Box, overlap
from facefleet.vision.detectors import load_detector
from facefleet.vision.tracker import LOST, Tracker

from benchmarks.bench import print_table
from benchmarks.bench_detector import MIN_FACE
from support.clip import SIZE, VISIBLE, VISITS, Clip, Truth, shown

RATES = (5, 15)  # frames a second: the detector's default, and a camera's
_IOU = 0.25  # from here on, boxes of two frames are of one face

Follow = Callable[[Sequence[Box], float], Sequence[Hashable]]
"""Returns the identity of the track of each box."""


def ours(_fps: float) -> Follow:
    return Tracker().follow


def plain(_fps: float) -> Follow:
    """The largest intersection over union first; a track stays where it was last seen."""
    tracks: dict[int, tuple[Box, float]] = {}
    numbers = iter(range(1 << 30))

    def follow(boxes: Sequence[Box], now: float) -> list[Hashable]:
        for number in [number for number, (_, seen) in tracks.items() if now - seen > LOST]:
            del tracks[number]
        pairs = sorted(
            (
                (overlap(box, last), number, index)
                for number, (last, _) in tracks.items()
                for index, box in enumerate(boxes)
            ),
            reverse=True,
        )
        found: dict[int, int] = {}
        for share, number, index in pairs:
            if share >= _IOU and index not in found and number not in found.values():
                found[index] = number
        identities = [found.get(index) for index in range(len(boxes))]
        identities = [next(numbers) if one is None else one for one in identities]
        tracks.update({number: (box, now) for number, box in zip(identities, boxes, strict=True)})
        return identities

    return follow


def norfair(fps: float, distance: str = "iou", threshold: float = 1 - _IOU) -> Follow:
    import norfair as library

    tracker = library.Tracker(
        distance_function=distance,
        distance_threshold=threshold,
        hit_counter_max=max(1, int(LOST * fps)),
        initialization_delay=0,
    )

    def follow(boxes: Sequence[Box], _now: float) -> list[Hashable]:
        detections = [
            library.Detection(np.array([[x, y], [x + width, y + height]]), data=index)
            for index, (x, y, width, height) in enumerate(boxes)
        ]
        tracker.update(detections or None)
        of = {
            id(track.last_detection): track.id
            for track in tracker.tracked_objects
            if track.last_detection is not None
        }
        return [of.get(id(detection)) for detection in detections]

    return follow


def norfair_euclidean(fps: float) -> Follow:
    return norfair(fps, "euclidean", 120)


def edgefirst(_fps: float) -> Follow:
    from edgefirst.tracker import ByteTrack

    tracker = ByteTrack(high_conf=0.5, iou=_IOU, lifespan_ns=int(LOST * 1e9))

    def follow(boxes: Sequence[Box], now: float) -> list[Hashable]:
        corners = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(
            -1, 4
        )
        corners /= (*SIZE, *SIZE)
        scores, labels = np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.uintp)
        tracks = tracker.update(corners, scores, labels, int(now * 1e9))
        return [track and track.uuid for track in tracks]

    return follow


def measure(
    make: Callable[[float], Follow], fps: float, frames: list[tuple[float, list[Box], list[Truth]]]
) -> list[str]:
    follow, last = make(fps), {}
    switches = 0
    visits_of: dict[Hashable, set[str]] = {}
    times = []
    for second, boxes, truths in frames:
        began = time.perf_counter()
        identities = follow(boxes, second)
        times.append(time.perf_counter() - began)
        for box, identity in zip(boxes, identities, strict=True):
            truth = shown(box, truths)
            if truth is None or truth.visible < VISIBLE:
                continue
            switches += last.get(truth.visit, identity) != identity
            last[truth.visit] = identity
            visits_of.setdefault(identity, set()).add(truth.visit)
    merged = sum(len(visits) - 1 for visits in visits_of.values())
    return [
        f"{len(last)} of {len(VISITS)}",
        str(len(visits_of)),
        str(switches),
        str(merged),
        f"{1e6 * median(times):.0f}",
    ]


def main() -> None:
    trackers = {"ours": ours, "plain IoU": plain}
    if find_spec("norfair"):
        trackers |= {"norfair, IoU": norfair, "norfair, euclidean": norfair_euclidean}
    if find_spec("edgefirst"):
        trackers["edgefirst-tracker"] = edgefirst
    rows = [["", "visits", "tracks", "switches", "merged", "us a frame"]]
    for fps in RATES:
        detect = load_detector("yunet", MIN_FACE)
        frames = [
            (second, [one.box for one in detect(image)], truths)
            for second, image, truths in Clip(fps)
        ]
        rows += [
            [f"{fps}/s {name}", *measure(make, fps, frames)] for name, make in trackers.items()
        ]
    print_table(rows)


if __name__ == "__main__":
    main()
