"""The figures of a run. Pure functions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HOUR, MONTH = 3600, 30 * 24 * 3600  # seconds


@dataclass(frozen=True)
class Captured:
    """A face that a camera handed over. Times are monotonic seconds."""

    at: float
    size: int  # bytes
    md5: str
    fresh: bool  # captured while the backlog drained


@dataclass(frozen=True)
class Result:
    """What one way to send faces made of a link."""

    name: str
    seconds: float  # that were measured
    captured: int
    stored_bytes: int  # meanwhile
    goodput: float  # bytes stored, as a share of what the line can carry
    wire_up: float  # bytes on the wire for each byte stored
    wire_down: float
    fresh: int  # faces captured early enough to be measured
    fresh_p50: float  # seconds; infinite if such a face was not stored meanwhile
    fresh_p99: float
    idle_up: float  # bytes an hour
    idle_down: float
    lost: int
    twice: int
    sent: float  # share of what the line can carry that was sent, with all headers
    line_lost: int  # packets lost on the line
    line_dropped: int  # packets dropped by the full queue
    late: float  # share of packets that the simulation delivered late

    @property
    def idle_month(self) -> float:
        """Bytes a month of an idle device, both directions."""
        return (self.idle_up + self.idle_down) * MONTH / HOUR


def stored_between(
    captured: Mapping[int, Captured], stored: Mapping[int, float], begin: float, end: float
) -> int:
    """Return how many bytes of faces, by number, were stored from `begin` to `end`."""
    return sum(
        captured[number].size
        for number, at in stored.items()
        if begin <= at < end and number in captured
    )


def delays(
    captured: Mapping[int, Captured],
    stored: Mapping[int, float],
    begin: float,
    end: float,
    patience: float,
) -> list[float]:
    """Return the delay of each face that was fresh from `begin` to `patience` seconds before `end`.

    It is infinite for a face that was not stored by `end`.
    """
    return [
        at - face.at if (at := stored.get(number, math.inf)) < end else math.inf
        for number, face in captured.items()
        if face.fresh and begin <= face.at < end - patience
    ]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.inf


def lost_and_twice(captured: Iterable[Captured], etags: Sequence[str]) -> tuple[int, int]:
    """Compare the contents that were captured with those in the bucket."""
    found = set(etags)
    lost = sum(face.md5 not in found for face in captured)
    return lost, len(etags) - len(found)


HEADER = [
    "",
    "goodput",
    "wire/stored up",
    "down",
    "fresh p50 s",
    "p99 s",
    "idle KB/h up",
    "down",
    "MB/month",
    "lost",
    "twice",
]


def cells(result: Result) -> list[str]:
    """Return a line of the table under HEADER."""
    return [
        result.name,
        f"{result.goodput:.1%}",
        f"{result.wire_up:.3f}",
        f"{result.wire_down:.3f}",
        _delay(result.fresh_p50, result.seconds),
        _delay(result.fresh_p99, result.seconds),
        f"{result.idle_up / 1000:.1f}",
        f"{result.idle_down / 1000:.1f}",
        f"{result.idle_month / 1e6:.1f}",
        str(result.lost),
        str(result.twice),
    ]


def _delay(seconds: float, measured: float) -> str:
    return f"{seconds:.1f}" if math.isfinite(seconds) else f"> {measured:.0f}"
