"""Choose which faces are captured: all of them, or the best of each visit.

A visit is one face's stay in view. Pure: pictures are opaque, and the time is an argument.

The first face of a visit is captured as soon as it is good, after a second if none was, or when it
is out of view. From then on a better picture is held back in memory: it is captured when it is
clearly better than what was captured, or when the visit ends. So a crash costs pictures of a visit
that has been captured already, and a visit only if it began within the last second.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from facefleet.vision.boxes import Box
from facefleet.vision.tracker import Tracker

FIRST_WITHIN = 1.0  # seconds after which a visit's first face is captured, good or not
LONGEST = 300.0  # seconds after which a visit ends, and the next one begins
GOOD = 0.5  # quality from which on the first face is captured at once
_CLEARLY = 0.15  # how much better a face has to be to be captured during a visit
_SLIGHTLY = 0.05  # the same, at the end of the visit

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[P]):
    """A face in a frame."""

    box: Box
    quality: float  # 0 to 1
    picture: P


@dataclass(frozen=True, slots=True)
class Choice(Generic[P]):
    """A picture to capture."""

    picture: P
    visit: str | None  # identifies the visit; None without visits
    candidates: int | None  # how many pictures of the visit it was chosen from
    first: bool  # of its visit


class Chooser(Protocol[P]):
    """Chooses pictures to capture. Times are seconds of a clock that never jumps."""

    def choose(self, candidates: Sequence[Candidate[P]], now: float) -> list[Choice[P]]:
        """Take the faces of the next frame; return the pictures to capture now."""

    def end(self) -> list[Choice[P]]:
        """Return what is still to be captured, as the next frame does not continue the last."""


class EveryFace(Generic[P]):
    """Captures every face of every frame."""

    def choose(self, candidates: Sequence[Candidate[P]], now: float) -> list[Choice[P]]:
        return [Choice(one.picture, None, None, first=False) for one in candidates]

    def end(self) -> list[Choice[P]]:
        return []


class BestOfVisit(Generic[P]):
    """Captures at most `most` faces of each visit."""

    def __init__(
        self, most: int, new_name: Callable[[], str] = lambda: secrets.token_hex(4)
    ) -> None:
        self._most = most
        self._new_name = new_name
        self._tracker = Tracker()
        self._visits: dict[int, _Visit[P]] = {}  # by number of the track
        self._last: float | None = None  # seconds; None if the next frame continues nothing

    def choose(self, candidates: Sequence[Candidate[P]], now: float) -> list[Choice[P]]:
        numbers = self._tracker.follow([one.box for one in candidates], now)
        gone = self._visits.keys() - self._tracker.numbers
        chosen = self._end(gone | self._overdue(now))
        for number, candidate in zip(numbers, candidates, strict=True):
            if number not in self._visits:
                self._visits[number] = _Visit(self._new_name(), self._most, now)
            self._visits[number].add(candidate)
        # A visit cannot wait for a frame that comes too late.
        until = now if self._last is None else now + (now - self._last)
        self._last = now
        seen = set(numbers)
        for number, visit in self._visits.items():
            chosen += visit.choose(seen=number in seen, until=until)
        return chosen

    def end(self) -> list[Choice[P]]:
        self._tracker.end()
        self._last = None
        return self._end(set(self._visits))

    def _overdue(self, now: float) -> set[int]:
        return {number for number, one in self._visits.items() if now - one.began >= LONGEST}

    def _end(self, numbers: set[int]) -> list[Choice[P]]:
        return [choice for number in sorted(numbers) for choice in self._visits.pop(number).end()]


class _Visit(Generic[P]):
    def __init__(self, name: str, most: int, began: float) -> None:
        self.began = began
        self._name = name
        self._most = most
        self._candidates = 0
        self._captured = 0
        self._best = 0.0  # quality that was captured
        self._held: Candidate[P] | None = None  # the best picture since, if it is better

    def add(self, candidate: Candidate[P]) -> None:
        self._candidates += 1
        better_than = self._held.quality if self._held else self._best
        if candidate.quality > better_than or not (self._held or self._captured):
            self._held = candidate

    def choose(self, *, seen: bool, until: float) -> list[Choice[P]]:
        """Return the held picture if it is to be captured now; `until`: time of the next frame."""
        if self._held is None:
            return []
        if self._captured == 0:
            good = self._held.quality >= GOOD
            return self._capture(good or not seen or until > self.began + FIRST_WITHIN)
        # The last place is that of the best one at the end.
        return self._capture(self._captured < self._most - 1 and self._is_better(_CLEARLY))

    def end(self) -> list[Choice[P]]:
        if self._held is None:
            return []
        return self._capture(self._captured == 0 or self._is_better(_SLIGHTLY))

    def _is_better(self, difference: float) -> bool:
        return self._held.quality >= self._best + difference

    def _capture(self, due: bool) -> list[Choice[P]]:
        if not due or self._captured == self._most:
            return []
        chosen = Choice(self._held.picture, self._name, self._candidates, first=self._captured == 0)
        self._captured += 1
        self._best = self._held.quality
        self._held = None
        return [chosen]
