"""What comes of the faces that are sent: whether any is answered, and whether any is stored.

The clock is passed in: `now` is monotonic, in seconds.
"""

import math

SILENCE = 60.0  # seconds without an answer to anything that was sent
BARREN = 16  # faces in a row that were answered, and not stored


class Answers:
    """The answers that one sender has had."""

    def __init__(self) -> None:
        self._waiting_since = math.inf  # sent then, and nothing was answered since
        self._last = -math.inf  # when the last answer came
        self._barren = 0
        self._barren_for = ""  # why the last face was not stored

    def sent(self, now: float) -> None:
        self._waiting_since = min(self._waiting_since, now)

    def nothing_sent(self) -> None:
        """No face that was sent is without an answer."""
        self._waiting_since = math.inf

    def stored(self, now: float) -> None:
        self._answered(now)
        self._barren = 0

    def not_stored(self, reason: str, now: float) -> None:
        self._answered(now)
        self._barren += 1
        self._barren_for = reason

    def silence(self, now: float) -> str | None:
        """A sentence while faces are sent and nothing is answered: the way is broken somewhere."""
        if now - self._waiting_since <= SILENCE:
            return None
        return (
            f"no face has been confirmed for {SILENCE:.0f} s, though some were sent: "
            "see that the forwarder and the processor are ready"
        )

    def barrenness(self, now: float) -> str | None:
        """A sentence while answers come, and none of them says that a face was stored.

        Once no more answers come, nothing is known: an empty room does not keep an old fault.
        """
        if self._barren < BARREN or now - self._last > SILENCE:
            return None
        return (
            f"none of the last {self._barren:,} faces was stored ({self._barren_for}): "
            "see `facefleet outbox list` and the processor's log"
        )

    def _answered(self, now: float) -> None:
        self._waiting_since = math.inf
        self._last = now
