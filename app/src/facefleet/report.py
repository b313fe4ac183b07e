"""What a device reports of itself, beside its cameras, and how far its clock is off.

Pure: no clock, no network. Topics and messages are those between forwarder and processor.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from facefleet.protocol import is_label, status_topic

REPORT_EVERY = 900.0  # seconds; even if nothing has changed
CLOCK_OFF = 5.0  # seconds; a clock that is off by more is wrong
MAX_REPORT_BYTES = 4096
_REPORT = "_device"  # no camera can have this name
_TIME = "_time"
_WARMER = 10  # degrees by which a temperature has changed
_LONGEST_ROUND_TRIP = 60.0  # seconds, for an answer to be of use
_BOUNDS = {
    "at": (0, 1e11),
    "up": (0, 1e11),
    "memory": (0, 1e9),
    "temperature": (-100, 200),
    "certificate": (0, 1e11),
    "clock": (-1e11, 1e11),
    "bound": (0, 1e5),
}
_FRACTIONS = frozenset({"clock", "bound"})
_WORD = re.compile(r"[\w.+:-]{1,64}", re.ASCII)
_ASK = re.compile(r"[0-9a-f]{4}")
RECORD = ("content", "k3s", "configuration", "applied")
"""What runs on a host, as the playbooks record it."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a device reports; None where it does not know."""

    at: int | None = None
    """When, in Unix time by the device's clock."""
    up: int | None = None
    """Seconds since the kernel started."""
    memory: int | None = None
    """Memory available, in MB."""
    temperature: int | None = None
    """Of the hottest sensor, in degrees Celsius."""
    certificate: int | None = None
    """When the device's certificate expires, in Unix time."""
    clock: float | None = None
    """Seconds by which the device's clock is ahead of the cloud's."""
    bound: float | None = None
    """Seconds by which `clock` may be wrong."""
    content: str | None = None
    """Tag of the images, or hash of the app."""
    k3s: str | None = None
    configuration: str | None = None
    """Hash over the evaluated services."""
    applied: str | None = None
    """When these three were last changed, by the clock of the device."""
    ask: str | None = None
    """Names this report in the cloud's answer with the time."""

    def encode(self) -> bytes:
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(known, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, payload: bytes | str) -> "Report | None":
        """Return the report, or None if the untrusted payload is not one.

        A single value that is invalid counts as unknown.
        """
        if (body := _parse(payload)) is None:
            return None
        numbers = {name: _number(name, body.get(name)) for name in _BOUNDS}
        ask = body.get("ask")
        return cls(**numbers, **record(body), ask=ask if _is_ask(ask) else None)

    def is_news(self, last: "Report") -> bool:
        """Return whether this differs from the last report in what matters."""
        fixed = (*RECORD, "certificate")
        return (
            any(getattr(self, name) != getattr(last, name) for name in fixed)
            or _differ(self.temperature, last.temperature, _WARMER)
            or _differ(self.clock, last.clock, CLOCK_OFF)
            or (self.clock is not None and last.clock is None)
        )


def report_topic(device: str) -> str:
    return status_topic(device, _REPORT)


def time_topic(device: str) -> str:
    """Return the topic of the cloud's answers to a device's reports."""
    return f"receipts/{device}/{_TIME}"


def device_of_report(topic: str) -> str | None:
    """Return the device whose report has this topic, or None."""
    levels = topic.split("/")
    is_report = len(levels) == 3 and topic == report_topic(levels[1]) and is_label(levels[1])
    return levels[1] if is_report else None


def record(body: Mapping[str, object]) -> dict[str, str | None]:
    """Return the valid values of the record of what runs on a host."""
    values = {name: body.get(name) for name in RECORD}
    return {
        name: value if isinstance(value, str) and _WORD.fullmatch(value) else None
        for name, value in values.items()
    }


def time_answer(topic: str, payload: bytes, now: float) -> tuple[str, bytes] | None:
    """Return topic and payload of the answer to a report with the cloud's time, or None."""
    device = device_of_report(topic)
    body = _parse(payload) if device else None
    if body is None or not _is_ask(body.get("ask")):
        return None
    message = json.dumps({"ask": body["ask"], "time": round(now, 3)}, separators=(",", ":"))
    return time_topic(device), message.encode()


class Clock:
    """Compares the device's clock with the cloud's by the answers to its reports.

    The answer was written at some moment of the round trip, so the offset is known within half of
    the round trip.
    """

    def __init__(self) -> None:
        self.offset: float | None = None
        self.bound: float | None = None
        self._asked: tuple[str, float, float] | None = None

    def asked(self, ask: str, wall: float, now: float) -> None:
        """Record that a report was sent at `wall`, by the device's clock; `now` is monotonic."""
        self._asked = ask, wall, now

    def answered(self, payload: bytes, now: float) -> bool:
        """Return whether the untrusted payload answers the last report, for the first time."""
        body = _parse(payload)
        if body is None or self._asked is None or body.get("ask") != self._asked[0]:
            return False
        _, wall, began = self._asked
        time = _number("at", body.get("time"), whole=False)
        if time is None or not 0 <= now - began <= _LONGEST_ROUND_TRIP:
            return False
        self._asked = None
        half = (now - began) / 2
        self.offset, self.bound = round(wall + half - time, 3), round(half + 0.001, 3)
        return True


def _parse(payload: bytes | str) -> dict | None:
    if len(payload) > MAX_REPORT_BYTES:
        return None
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _number(name: str, value: object, *, whole: bool | None = None) -> float | None:
    whole = name not in _FRACTIONS if whole is None else whole
    least, most = _BOUNDS[name]
    if type(value) is int or (type(value) is float and not whole):
        return value if least <= value <= most else None
    return None


def _is_ask(value: object) -> bool:
    return isinstance(value, str) and _ASK.fullmatch(value) is not None


def _differ(one: float | None, other: float | None, apart: float) -> bool:
    return one is not None and other is not None and abs(one - other) >= apart
