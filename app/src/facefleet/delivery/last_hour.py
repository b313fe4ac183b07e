"""Count what happened within the last hour.

Pure: the time is passed in, in monotonic seconds.
"""

from collections import deque

HOUR, STEP = 3600.0, 60.0  # seconds


class LastHour:
    """Counts by minute, so that the memory does not grow with the counts."""

    def __init__(self) -> None:
        self._counts: deque[list[float]] = deque()  # minute and count

    def add(self, count: int, now: float) -> None:
        minute = now // STEP
        if not self._counts or self._counts[-1][0] != minute:
            self._counts.append([minute, 0])
        self._counts[-1][1] += count
        self._forget(now)

    def count(self, now: float) -> int:
        """Return the sum over the last hour, to the minute."""
        self._forget(now)
        return sum(count for _, count in self._counts)

    def _forget(self, now: float) -> None:
        while self._counts and self._counts[0][0] <= (now - HOUR) // STEP:
            self._counts.popleft()
