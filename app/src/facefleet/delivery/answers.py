"""Notice when faces that are sent are never answered, or never stored.

The clock is passed in: `now` is monotonic, in seconds.
"""

import math

ANSWER_TIMEOUT = 60.0  # seconds without an answer to any face that was sent
MAX_UNSTORED = 16  # consecutive faces that were answered but not stored


class Answers:
    """The answers that one sender has received."""

    def __init__(self) -> None:
        self._waiting_since = math.inf  # when the first face after the last answer was sent
        self._last = -math.inf  # when the last answer arrived
        self._unstored = 0
        self._unstored_reason = ""  # why the last face was not stored

    def sent(self, now: float) -> None:
        self._waiting_since = min(self._waiting_since, now)

    def nothing_sent(self) -> None:
        """Record that no face is waiting for an answer."""
        self._waiting_since = math.inf

    def stored(self, now: float) -> None:
        self._answered(now)
        self._unstored = 0

    def not_stored(self, reason: str, now: float) -> None:
        self._answered(now)
        self._unstored += 1
        self._unstored_reason = reason

    def silence_problem(self, now: float) -> str | None:
        """Return a sentence while faces are sent but none is answered, so that a hop must fail."""
        if now - self._waiting_since <= ANSWER_TIMEOUT:
            return None
        return (
            f"no face has been confirmed for {ANSWER_TIMEOUT:.0f} s, although some were sent: "
            "check that the forwarder and the processor are ready"
        )

    def unstored_problem(self, now: float) -> str | None:
        """Return a sentence while answers arrive, but none of them confirms a face.

        Once no more answers arrive, the old fault no longer counts: the room may be empty.
        """
        if self._unstored < MAX_UNSTORED or now - self._last > ANSWER_TIMEOUT:
            return None
        return (
            f"none of the last {self._unstored:,} faces was stored ({self._unstored_reason}): "
            "check `facefleet outbox list` and the processor's log"
        )

    def _answered(self, now: float) -> None:
        self._waiting_since = math.inf
        self._last = now
