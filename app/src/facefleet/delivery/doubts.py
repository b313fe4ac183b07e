"""When a face is given up that is never answered though others are: pure rules.

Nothing that an outage does is held against a face: only that another one, sent later on the same
way, was answered.
"""

import math
from dataclasses import dataclass

TRIES = 3  # misses until a face leaves its place in the window
WAIT, WAIT_MAX = 2.0, 60.0  # seconds outside of it, doubling
LOSS = 0.05  # the share of messages that any link may lose
CERTAIN = 30.0  # given up where chance explains the misses once in e to the power of this
SMOOTH = 32

ATTEMPTS = 5  # breaks that a suspect, alone in flight, was there for
BREAKS = 3  # in a row, each within SHORT_LIVED of the last, before a face is suspected
SHORT_LIVED = 60.0  # seconds
SUSPECT = 30.0  # seconds until a suspect is tried alone; others need a steady connection meanwhile


@dataclass(slots=True)
class _Misses:
    count: int = 0
    evidence: float = 0.0


class Misses:
    """Faces that later ones have overtaken, by number.

    Links lose messages by accident: a miss weighs as much as it is improbable there.
    """

    def __init__(self) -> None:
        self._loss = 0.0  # the share of faces whose first sending was lost, smoothed
        self._of: dict[int, _Misses] = {}

    def answered(self, number: int) -> None:
        if self._of.pop(number, None) is None:
            self._loss -= self._loss / SMOOTH

    def missed(self, number: int) -> None:
        """A face that was sent later was answered before this one."""
        misses = self._of.setdefault(number, _Misses())
        misses.count += 1
        if misses.count == 1:
            self._loss += (1 - self._loss) / SMOOTH
        misses.evidence -= math.log(max(self._loss, LOSS))

    def certain(self, number: int) -> bool:
        """Whether a face is to be given up."""
        return number in self._of and self._of[number].evidence >= CERTAIN

    def wait(self, number: int) -> float:
        """Seconds until a face should be resent."""
        count = self._of[number].count - TRIES if number in self._of else 0
        return min(WAIT * 2 ** (count - 1), WAIT_MAX) if count > 0 else 0.0

    def __contains__(self, number: int) -> bool:
        return number in self._of

    def forget(self, number: int) -> None:
        self._of.pop(number, None)

    def restart(self) -> None:
        """The way is new: what was missed on the last one counts no more."""
        self._of.clear()


class Suspects:
    """Faces that were alone in flight when the way broke, by number.

    A face that a broker ends the connection for (it is larger than the broker allows) would be the
    first on the next connection, too.
    """

    def __init__(self) -> None:
        self._breaks = 0  # in a row
        self._broken = -math.inf  # when
        self._of: dict[int, int] = {}  # breaks that others outlived
        self._accused: int | None = None  # until others are confirmed

    def breaks(self, now: float) -> bool:
        """The way broke. True where it does so again and again: see what is in flight then."""
        self._breaks = self._breaks + 1 if now - self._broken < SHORT_LIVED else 0
        self._broken = now
        return self._breaks >= BREAKS

    def accuse(self, number: int) -> float:
        """It was alone in flight when the way broke. Seconds until it should be tried again."""
        self._accused = number
        self._of.setdefault(number, 0)
        return SUSPECT

    def outlived(self) -> int | None:
        """Another face was confirmed. Returns the suspect that is to be given up, if any."""
        accused, self._accused = self._accused, None
        if accused not in self._of:
            return None
        self._of[accused] += 1
        return accused if self._of[accused] >= ATTEMPTS else None

    def __contains__(self, number: int) -> bool:
        return number in self._of

    def forget(self, number: int) -> None:
        self._of.pop(number, None)
