"""Follow faces from frame to frame by their boxes. Pure: the time is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass

from facefleet.vision.boxes import Box, centre, size

LOST = 1.5  # seconds without a detection after which a track ends
# A face is looked for where it would be at its last speed, as far away as this in sizes of the
# face: two for one that has been seen only once, as a hurrying person moves so far in 0.2 s.
_REACH = 1.0
_REACH_AT_FIRST = 2.0
_LARGER = 1.7  # times as large as before, at most
_HIDDEN = 0.5  # what a second out of view adds to a distance: the face in front keeps its track
_SMOOTHING = 0.4  # seconds over which the speed of a face is averaged


@dataclass
class _Track:
    number: int
    box: Box
    seen: float  # seconds
    speed: tuple[float, float] | None = None  # pixels a second; None until it was seen twice

    def distance(self, box: Box, now: float) -> float | None:
        """Return how far `box` is from the expected one; None if it is another face."""
        ours, theirs = size(self.box), size(box)
        if max(ours, theirs) > _LARGER * min(ours, theirs):
            return None
        (x, y), (vx, vy) = centre(self.box), self.speed or (0.0, 0.0)
        passed = now - self.seen
        found_x, found_y = centre(box)
        away = ((x + vx * passed - found_x) ** 2 + (y + vy * passed - found_y) ** 2) ** 0.5
        reach = _REACH_AT_FIRST if self.speed is None else _REACH
        share = away / (reach * max(ours, theirs))
        return share + _HIDDEN * passed if share <= 1 else None

    def follow(self, box: Box, now: float) -> None:
        passed = now - self.seen
        if passed > 0:
            (x, y), (to_x, to_y) = centre(self.box), centre(box)
            step = ((to_x - x) / passed, (to_y - y) / passed)
            last = self.speed or step
            share = passed / (passed + _SMOOTHING)
            self.speed = (
                last[0] + share * (step[0] - last[0]),
                last[1] + share * (step[1] - last[1]),
            )
        self.box, self.seen = box, now


class Tracker:
    """Numbers the faces that it follows, from 0. Times are seconds of a clock that never jumps."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 0

    def follow(self, boxes: Sequence[Box], now: float) -> list[int]:
        """Return the number of each box's track. Tracks not seen for LOST seconds end first."""
        self._tracks = [track for track in self._tracks if now - track.seen <= LOST]
        pairs = sorted(
            (distance, at, index)
            for at, track in enumerate(self._tracks)
            for index, box in enumerate(boxes)
            if (distance := track.distance(box, now)) is not None
        )
        track_of: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, at, index in pairs:  # the nearest pair first
            if at not in taken and index not in track_of:
                taken.add(at)
                track_of[index] = self._tracks[at]
                self._tracks[at].follow(boxes[index], now)
        for index, box in enumerate(boxes):
            if index not in track_of:
                track_of[index] = _Track(self._next, box, now)
                self._tracks.append(track_of[index])
                self._next += 1
        return [track_of[index].number for index in range(len(boxes))]

    @property
    def numbers(self) -> set[int]:
        """The tracks that have not ended."""
        return {track.number for track in self._tracks}

    def end(self) -> None:
        """End all tracks, as the next frame does not continue the last one."""
        self._tracks.clear()
