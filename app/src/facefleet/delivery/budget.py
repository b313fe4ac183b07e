"""Keep what a device sends within rates of bytes and messages, without I/O.

The time is passed in, in monotonic seconds.
"""

from collections import OrderedDict

BURST = 0.5  # seconds of a rate that may be sent at once after a pause
PACKET = 1400  # bytes of a message in one IP packet
HEADERS = 60  # approximate bytes of IP, TCP and TLS for each packet
MAX_WAITING = 8 << 20  # bytes of messages that may wait


def wire_size(topic: str, payload: bytes) -> int:
    """Estimate how many bytes a message is on the network."""
    size = len(topic) + len(payload)
    return size + HEADERS * (1 + size // PACKET)


class Budget:
    """A token bucket. A message is sent as a whole, so it may overdraw the budget."""

    def __init__(self, rate: float, burst: float = BURST) -> None:
        """`rate`: bytes or messages a second; `burst`: seconds of it."""
        self._rate = rate
        self._most = self._credit = rate * burst
        self._at = 0.0

    def spend(self, size: int, now: float) -> None:
        self._earn(now)
        self._credit -= size

    def wait(self, now: float) -> float:
        """Return the seconds until the next message may be sent."""
        self._earn(now)
        return max(0.0, -self._credit / self._rate)

    def _earn(self, now: float) -> None:
        self._credit = min(self._most, self._credit + self._rate * (now - self._at))
        self._at = now


def message_budget(messages: float) -> Budget:
    """Return a budget of which at most so many messages are sent in any second."""
    return Budget(0.9 * messages, burst=0.1)


class Waiting:
    """Messages that the budget does not allow yet, in the order of their arrival.

    A sender may resend a face that still waits here. It keeps its only place.
    """

    def __init__(self) -> None:
        self._messages: OrderedDict[str, bytes] = OrderedDict()  # by topic
        self._size = 0

    def put(self, topic: str, payload: bytes) -> bool:
        """Add a message. Return False if too much is waiting already."""
        if topic in self._messages:
            return True
        if self._size + len(payload) > MAX_WAITING:
            return False
        self._messages[topic] = payload
        self._size += len(payload)
        return True

    def take(self) -> tuple[str, bytes]:
        topic, payload = self._messages.popitem(last=False)
        self._size -= len(payload)
        return topic, payload

    def clear(self) -> int:
        """Return the number of messages that were dropped."""
        dropped = len(self._messages)
        self._messages.clear()
        self._size = 0
        return dropped

    def __len__(self) -> int:
        return len(self._messages)
