"""Decide when a detector's status is worth a message: status shares the uplink with the faces.

Pure: the time is passed in, in monotonic seconds.
"""

from collections.abc import Mapping

STATUS_EVERY = 60.0  # seconds; even if nothing has changed
COUNTS_EVERY = 10.0  # seconds between reports of counts that grow
COUNTS = frozenset({"captured", "stored", "pending"})
MEASURED = frozenset(
    {"fps", "p50", "p99", "resent", "drained_in", "full_in", "oldest", "hour", "disk"}
)
"""Values that always vary a little. They are sent with the next status."""
COMES_AND_GOES = frozenset({"pending", "drained_in", "full_in", "oldest", "hour"})


class Reporting:
    """Compares the current status with the one that was published last."""

    def __init__(self) -> None:
        self._last: Mapping[str, object] | None = None
        self._at = 0.0

    def is_due(self, status: Mapping[str, object], now: float) -> bool:
        """Return whether to publish `status` now."""
        if self._last is None:
            return True
        changed = {name for name, value in status.items() if value != self._last.get(name)}
        routine = MEASURED | COUNTS
        if any(name not in routine or self._is_first(name) for name in changed):
            return True
        wait = COUNTS_EVERY if changed & COUNTS else STATUS_EVERY
        return now - self._at >= wait

    def _is_first(self, name: str) -> bool:
        """Return whether this is the first face or the first measurement, which is news."""
        return name not in COMES_AND_GOES and not self._last.get(name)

    def published(self, status: Mapping[str, object], now: float) -> None:
        self._last, self._at = status, now

    def restart(self) -> None:
        """Start over with a broker that may have lost the status."""
        self._last = None
