"""Limits on what one device may use of shared resources: memory of processor and broker.

Pure: no clock, no network.
"""

from collections import OrderedDict, defaultdict

from facefleet.protocol import FaceName, is_label
from facefleet.report import device_of_report

CAMERAS = 64  # per device
MAX_STATUS_BYTES = 4096


class Memory:
    """Bytes in use, out of `limit`. Each device may use as much as is still free.

    So one device alone gets half of it, two get a third each, and a new device always gets some.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_device: defaultdict[str, int] = defaultdict(int)
        self.held = 0

    def take(self, device: str, size: int) -> bool:
        """Reserve `size` bytes for the device. Return False if that exceeds its share."""
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
    """The first `CAMERAS` cameras of each device that sent faces. Others are rejected."""

    def __init__(self) -> None:
        self._of: defaultdict[str, set[str]] = defaultdict(set)

    def takes(self, name: FaceName) -> bool:
        known = self._of[name.device]
        if len(known) < CAMERAS:
            known.add(name.camera)
        return name.camera in known


class Statuses:
    """The topics under which each device's statuses stay retained: few, and small payloads."""

    def __init__(self) -> None:
        self._of: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)

    def excess(self, topic: str, size: int) -> list[str]:
        """Return the topics to clear after a status of this size has arrived."""
        _, *names = topic.split("/")
        well_formed = 1 <= len(names) <= 2 and all(map(is_label, names))
        well_formed = well_formed or device_of_report(topic) is not None
        if size == 0:  # an empty payload clears a topic
            return []
        if size > MAX_STATUS_BYTES or not well_formed:
            return [topic]
        known = self._of[names[0]]
        known[topic] = None
        known.move_to_end(topic)
        # Two more than there are cameras, for the state of the device's link and its report.
        return [known.popitem(last=False)[0]] if len(known) > CAMERAS + 2 else []
