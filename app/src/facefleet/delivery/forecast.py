"""Forecast when an outbox will be drained, or full, if what goes in and out stays as it was lately.

Pure: the time is passed in, in monotonic seconds.
"""

from collections import deque
from typing import NamedTuple

MEASURED_OVER = 300.0  # seconds
SHORTEST = 60.0  # seconds of measurements, below which nothing is forecast
SPACING = 10.0  # seconds between the measurements that are kept
FARTHEST = 30 * 86400.0  # seconds; a later event is not worth a forecast


class Fill(NamedTuple):
    """How full an outbox is, in bytes of pictures."""

    pending: int
    limit: int
    added: int  # since the outbox was opened, as is `settled`
    settled: int  # confirmed or given up, but not evicted


class Forecast(NamedTuple):
    """Seconds until an event; None if it is not to be expected, or unknown."""

    drained_in: float | None = None
    full_in: float | None = None


class Forecaster:
    """Measures what goes in and out of one outbox."""

    def __init__(self) -> None:
        self._measured: deque[tuple[float, int, int]] = deque()  # time, added, settled

    def update(self, fill: Fill, now: float) -> Forecast:
        """Take a measurement. Return the forecast from it and the earlier ones."""
        kept = self._measured
        while len(kept) > 1 and kept[1][0] <= now - MEASURED_OVER:
            kept.popleft()
        if not kept or now >= kept[-1][0] + SPACING:
            kept.append((now, fill.added, fill.settled))
        since, added, settled = kept[0]
        if now - since < SHORTEST:
            return Forecast()
        growth = ((fill.added - added) - (fill.settled - settled)) / (now - since)
        return forecast(fill.pending, max(0, fill.limit - fill.pending), growth)


def forecast(pending: int, room: int, growth: float) -> Forecast:
    """Return when `pending` bytes are drained, or `room` bytes filled, at `growth` bytes/s."""
    if growth < 0 and pending / -growth <= FARTHEST:
        return Forecast(drained_in=pending / -growth)
    if growth > 0 and room / growth <= FARTHEST:
        return Forecast(full_in=room / growth)
    return Forecast()
