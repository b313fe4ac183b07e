"""Notice that two devices report the same camera: copies of one disk, or two of one name.

Each start of a detector has an instance of its own, which its status contains. A status of an
earlier instance after one of a later instance shows that both run. Pure: no clock, no network.
"""

import json
from collections import OrderedDict, defaultdict
from dataclasses import dataclass

from facefleet.quotas import CAMERAS

REMEMBERED = 4  # instances of a camera
_LONGEST = 64  # characters of an instance or epoch; those of a detector have 8


@dataclass(frozen=True)
class Clone:
    """Two detectors of one camera run, one of which has just reported."""

    device: str
    camera: str
    epoch: str
    """The epoch of both; empty if they have different ones."""


class Clones:
    """The latest instances of each camera."""

    def __init__(self) -> None:
        self._of: defaultdict[str, OrderedDict[str, OrderedDict[str, str]]] = defaultdict(
            OrderedDict
        )  # device, camera, and instance to epoch

    def heard(self, topic: str, payload: bytes) -> Clone | None:
        """Return the clone that the status reveals, if any.."""
        _, device, *camera = topic.split("/")
        identity = _identity(payload)
        if len(camera) != 1 or identity is None:
            return None
        instance, epoch = identity
        cameras = self._of[device]
        known = cameras.setdefault(camera[0], OrderedDict())
        cameras.move_to_end(camera[0])
        if len(cameras) > CAMERAS:
            cameras.popitem(last=False)
        returned = instance in known and next(reversed(known)) != instance
        known[instance] = epoch
        known.move_to_end(instance)
        if len(known) > REMEMBERED:
            known.popitem(last=False)
        if not returned:
            return None
        shared = any(other == epoch for name, other in known.items() if name != instance)
        return Clone(device, camera[0], epoch if shared else "")


def _identity(payload: bytes) -> tuple[str, str] | None:
    """Return instance and epoch of a status, or None if the untrusted payload has none."""
    try:
        status = json.loads(payload)
        found = status["instance"], status["epoch"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if all(isinstance(f, str) and 0 < len(f) <= _LONGEST for f in found) else None
