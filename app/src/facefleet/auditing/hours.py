"""Hold what a digest claims of an hour against what the bucket lists of it.

Pure: no clock, no network.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from facefleet.digest import Hour, Line, hash_of

NAMED = 10  # seqs in a finding


class Verdict(Enum):
    """The result for one hour of one outbox."""

    BALANCED = "the bucket has exactly the confirmed faces"
    ERASED = "the bucket lacks no more faces than were erased"
    OPEN = "only the lines of the outbox can tell"
    MISSING = "the bucket lacks confirmed faces"
    UNEXPECTED = "the bucket has faces that the outbox does not know"
    OTHER = "the bucket has other faces than the confirmed ones"

    @property
    def proves(self) -> bool:
        return self in (Verdict.BALANCED, Verdict.ERASED)


class Finding(NamedTuple):
    verdict: Verdict
    faces: int = 0  # by which outbox and bucket differ
    seqs: tuple[int, ...] = ()  # of the first of these faces, if they are known


class Listed(NamedTuple):
    """A face in the bucket."""

    seq: int
    tag: str
    stored: datetime  # by S3's clock


class Ranges:
    """A set of numbers, given as (first, last) of ranges in any order."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(last, self._lasts[-1])
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in zip(self._firsts, self._lasts, strict=True))


def judge(
    claim: Hour, listed: Sequence[Listed], captured: int, gone: Ranges, erased: int
) -> Finding:
    """Judge an hour of an outbox.

    `listed`: the hour's faces in the bucket with the outbox's epoch. `captured`: the last seq of
    the digest. `gone`: seqs that were evicted or dropped; if they are many, also others between
    them. `erased`: the number of faces whose absence erasures may explain.
    """
    # Faces that are not confirmed may be in the bucket, too: their receipt is on its way.
    firm = [face for face in listed if face.seq <= captured]
    certain = [face for face in firm if face.seq not in gone]
    unconfirmed = claim.pending + claim.dead
    if any(_is(claim, faces) for faces in _candidates(claim, firm, certain, unconfirmed)):
        return Finding(Verdict.BALANCED)
    lacking = claim.stored - len(certain)
    if lacking > 0:
        # Of a range that was merged from others, a face may be among the confirmed ones.
        lacking = max(0, claim.stored - len(firm))
        verdict = Verdict.ERASED if lacking <= erased else Verdict.MISSING
        return Finding(verdict, lacking) if lacking else Finding(Verdict.OPEN)
    if -lacking > unconfirmed:
        return Finding(Verdict.UNEXPECTED, -lacking - unconfirmed)
    return Finding(Verdict.OPEN if unconfirmed else Verdict.OTHER, 0 if unconfirmed else 1)


def compare_lines(
    lines: Iterable[Line],
    listed: Iterable[Listed],
    captured: int,
    gone: Ranges,
    is_erased: Callable[[int], bool],
) -> Finding:
    """Judge an hour by the lines of its outbox, which must be older than the listing."""
    there = {(face.seq, face.tag) for face in listed}
    lines = list(lines)
    absent = [line.seq for line in lines if line.state == "s" and line[:2] not in there]
    missing = [seq for seq in absent if not is_erased(seq)]
    strange = there.difference(line[:2] for line in lines)
    unexpected = sorted(seq for seq, _ in strange if seq <= captured and seq not in gone)
    if missing and unexpected:
        return Finding(Verdict.OTHER, len(missing), tuple(missing[:NAMED]))
    if missing:
        return Finding(Verdict.MISSING, len(missing), tuple(missing[:NAMED]))
    if unexpected:
        return Finding(Verdict.UNEXPECTED, len(unexpected), tuple(unexpected[:NAMED]))
    return Finding(Verdict.ERASED if absent else Verdict.BALANCED, len(absent))


def _is(claim: Hour, faces: Sequence[Listed]) -> bool:
    """Return whether these are exactly the confirmed faces."""
    return len(faces) == claim.stored and hash_of((f.seq, f.tag) for f in faces) == claim.hash


def _candidates(
    claim: Hour, firm: list[Listed], certain: list[Listed], unconfirmed: int
) -> Iterator[Sequence[Listed]]:
    """Yield what the confirmed faces may be among those in the bucket."""
    yield firm
    yield certain
    excess = len(certain) - claim.stored
    if 0 < excess <= unconfirmed:  # most likely the last that were stored, or captured
        yield sorted(certain, key=lambda face: (face.stored, face.seq))[:-excess]
        yield sorted(certain)[:-excess]
