"""What one device may take of what all share: a processor's memory, and the broker's.

Pure: no clock, no network.
"""

from collections import OrderedDict, defaultdict

from facefleet.names import FaceName, is_label

CAMERAS = 64  # of one device
LARGEST_STATUS = 4096  # bytes


class Memory:
    """Bytes held, of at most `limit`. Each device may hold as much as is left free.

    So one device alone gets half, two get a third each, and a newcomer always finds room.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_device: defaultdict[str, int] = defaultdict(int)
        self.held = 0

    def take(self, device: str, size: int) -> bool:
        """Whether the device may hold so much more; it is counted then."""
        if self._by_device[device] + size > self._limit - self.held:
            return False
        self._by_device[device] += size
        self.held += size
        return True

    def release(self, device: str, size: int) -> None:
        self.held -= size
        self._by_device[device] -= size
        if not self._by_device[device]:
            del self._by_device[device]


class Cameras:
    """The first `CAMERAS` of each device under which faces came; no more are taken."""

    def __init__(self) -> None:
        self._of: defaultdict[str, set[str]] = defaultdict(set)

    def takes(self, name: FaceName) -> bool:
        known = self._of[name.device]
        if len(known) < CAMERAS:
            known.add(name.camera)
        return name.camera in known


class Statuses:
    """The topics that each device's statuses may be retained under: small, and the latest few."""

    def __init__(self) -> None:
        self._of: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)

    def excess(self, topic: str, size: int) -> list[str]:
        """The topics that are to be cleared now that a status of this size came."""
        _, *names = topic.split("/")
        well_formed = 1 <= len(names) <= 2 and all(map(is_label, names))
        if size == 0:  # this is how a topic is cleared
            return []
        if size > LARGEST_STATUS or not well_formed:
            return [topic]
        known = self._of[names[0]]
        known[topic] = None
        known.move_to_end(topic)
        # One more than there are cameras: the device's own, of its link.
        return [known.popitem(last=False)[0]] if len(known) > CAMERAS + 1 else []
