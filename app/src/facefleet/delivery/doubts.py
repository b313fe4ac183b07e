"""Decide when to give up a face that is never confirmed although others are. Pure rules.

An outage never counts against a face. Only the confirmation of a face that was sent later on the
same connection does.
"""

import math
from dataclasses import dataclass

TRIES = 3  # misses until a face must leave the window
WAIT, WAIT_MAX = 2.0, 60.0  # seconds outside of the window, doubling with each miss
LOSS = 0.05  # the share of messages that any link may lose
CERTAIN = 30.0  # evidence (a natural logarithm) against chance that makes a face be given up
SMOOTH = 32

ATTEMPTS = 5  # connections that broke while a suspect was alone in flight
BREAKS = 3  # in a row, each within SHORT_LIVED of the last, before a face is suspected
SHORT_LIVED = 60.0  # seconds
SUSPECT = 30.0  # seconds until a suspect is resent alone; others need a steady connection meanwhile


@dataclass(slots=True)
class _Misses:
    count: int = 0
    evidence: float = 0.0


class Misses:
    """Faces that were not confirmed before later ones were, by number.

    Links lose messages by accident, so the weight of a miss is its improbability on this link.
    """

    def __init__(self) -> None:
        self._loss = 0.0  # the share of faces whose first transmission was lost, smoothed
        self._of: dict[int, _Misses] = {}

    def answered(self, number: int) -> None:
        """Forget a face that was confirmed, refused or quarantined."""
        if self._of.pop(number, None) is None:
            self._loss -= self._loss / SMOOTH

    def missed(self, number: int) -> None:
        """Record that a face that was sent later was confirmed before this one."""
        misses = self._of.setdefault(number, _Misses())
        misses.count += 1
        if misses.count == 1:
            self._loss += (1 - self._loss) / SMOOTH
        misses.evidence -= math.log(max(self._loss, LOSS))

    def certain(self, number: int) -> bool:
        """Return whether a face should be given up."""
        return number in self._of and self._of[number].evidence >= CERTAIN

    def wait(self, number: int) -> float:
        """Return after how many seconds a face should be resent."""
        count = self._of[number].count - TRIES if number in self._of else 0
        return min(WAIT * 2 ** (count - 1), WAIT_MAX) if count > 0 else 0.0

    def __contains__(self, number: int) -> bool:
        return number in self._of

    def forget(self, number: int) -> None:
        self._of.pop(number, None)

    def restart(self) -> None:
        """Forget all misses, as they do not count on a new connection."""
        self._of.clear()


class Suspects:
    """Faces that were alone in flight when the connection broke, by number.

    If a broker closes the connection because of a face (for example because of its size), that face
    would be sent first on the next connection, too.
    """

    def __init__(self) -> None:
        self._breaks = 0  # consecutive short-lived connections
        self._broken = -math.inf  # when the last connection broke
        self._of: dict[int, int] = {}  # per suspect: breaks after which others were confirmed
        self._accused: int | None = None  # the latest suspect, until others are confirmed

    def breaks(self, now: float) -> bool:
        """Record that the connection broke. Return whether it keeps breaking."""
        self._breaks = self._breaks + 1 if now - self._broken < SHORT_LIVED else 0
        self._broken = now
        return self._breaks >= BREAKS

    def accuse(self, number: int) -> float:
        """Suspect a face that was alone in flight. Return the seconds until it may be resent."""
        self._accused = number
        self._of.setdefault(number, 0)
        return SUSPECT

    def outlived(self) -> int | None:
        """Record that another face was confirmed. Return the suspect to give up, if any."""
        accused, self._accused = self._accused, None
        if accused not in self._of:
            return None
        self._of[accused] += 1
        return accused if self._of[accused] >= ATTEMPTS else None

    def __contains__(self, number: int) -> bool:
        return number in self._of

    def forget(self, number: int) -> None:
        self._of.pop(number, None)
