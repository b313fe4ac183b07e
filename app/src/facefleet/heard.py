"""The latest statuses of a fleet, each with the time at which it was heard, by the cloud's clock.

Unlike what a broker retains, they outlast the broker, and need no trust in a device's clock.
"""

import json
from collections import OrderedDict
from dataclasses import asdict, dataclass
from threading import Lock

MAX_HELD = 32 << 20  # bytes of payloads; beyond it, the status heard first is forgotten


@dataclass(frozen=True, slots=True)
class Status:
    """A status; times are Unix time, and None if it was retained by the broker."""

    payload: str
    heard: float | None
    since: float | None
    """When the first status with this payload was heard."""


class Heard:
    """What the processor has heard since its start. Thread-safe."""

    def __init__(self, now: float) -> None:
        self._started = now
        self._latest: OrderedDict[str, Status] = OrderedDict()  # by topic, latest last
        self._held = 0
        self._lock = Lock()

    def hear(self, topic: str, payload: bytes, now: float, *, retained: bool) -> None:
        """Record a status. An empty payload clears its topic."""
        text = payload.decode(errors="replace")
        with self._lock:
            last = self._latest.get(topic)
            is_same = last is not None and last.payload == text
            if retained and is_same:
                return
            self._drop(topic)
            if text:
                heard = None if retained else now
                status = Status(text, heard, last.since if is_same else heard)
                self._latest[topic] = status
                self._held += len(text)
            while self._held > MAX_HELD:
                self._drop(next(iter(self._latest)))

    def forget(self, topic: str) -> None:
        with self._lock:
            self._drop(topic)

    def encode(self, now: float) -> bytes:
        """Return all statuses as JSON, with the times of now and of the start."""
        with self._lock:
            latest = dict(self._latest)
        statuses = {topic: asdict(status) for topic, status in latest.items()}
        body = {"now": now, "started": self._started, "statuses": statuses}
        return json.dumps(body, separators=(",", ":")).encode()

    def _drop(self, topic: str) -> None:
        if (status := self._latest.pop(topic, None)) is not None:
            self._held -= len(status.payload)
