"""What an hour's digest and listing say together."""

from datetime import UTC, datetime, timedelta

import pytest
from facefleet.auditing.hours import Finding, Listed, Ranges, Verdict, compare_lines, judge
from facefleet.digest import Hour, Line, hash_of

NOW = datetime(2026, 2, 28, 12, tzinfo=UTC)
NO_GAPS = Ranges(())


def tag(seq: int) -> str:
    return f"{seq:08x}"


def claim(*seqs: int, **others: int) -> Hour:
    return Hour(len(seqs), hash_of((seq, tag(seq)) for seq in seqs), **others)


def there(*seqs: int, minutes: int = 0) -> list[Listed]:
    """Faces in the bucket, stored one after another."""
    start = NOW + timedelta(minutes=minutes)
    return [Listed(seq, tag(seq), start + timedelta(seconds=n)) for n, seq in enumerate(seqs)]


@pytest.mark.parametrize(
    ("claimed", "listed", "verdict", "faces"),
    [
        (claim(1, 2, 3), there(1, 2, 3), Verdict.BALANCED, 0),
        (claim(1, 2, 3), there(3, 1, 2), Verdict.BALANCED, 0),
        (claim(), [], Verdict.BALANCED, 0),
        (claim(1, 2, 3), there(1, 3), Verdict.MISSING, 1),
        (claim(1, 2, 3), [], Verdict.MISSING, 3),
        (claim(1, 2), there(1, 2, 3), Verdict.UNEXPECTED, 1),
        (claim(), there(1, 2), Verdict.UNEXPECTED, 2),
        (claim(1, 2), there(1, 3), Verdict.OTHER, 1),
        (claim(1, 2), [*there(1), Listed(2, tag(9), NOW)], Verdict.OTHER, 1),
        # Unconfirmed faces: the last that were stored, or the last that were captured.
        (claim(1, 2, pending=2), there(1, 2), Verdict.BALANCED, 0),
        (claim(2, 3, pending=1), there(2, 3, 1), Verdict.BALANCED, 0),
        (claim(1, 2, pending=1), there(3, 1, 2), Verdict.BALANCED, 0),
        (claim(1, 2, dead=1), there(1, 2, 3), Verdict.BALANCED, 0),
        (claim(1, 3, pending=1), there(2, 1, 3), Verdict.OPEN, 0),
        # A confirmed face is absent and an unconfirmed one has arrived, or so it may be.
        (claim(1, 2, pending=1), there(1, 3), Verdict.OPEN, 0),
        (claim(1, 2, pending=1), there(1, 2, 3, 4), Verdict.UNEXPECTED, 1),
        (claim(1, 2, pending=5), there(1), Verdict.MISSING, 1),
        # Faces with a higher number than the digest knows.
        (claim(1, 2), there(1, 2, 11, 12), Verdict.BALANCED, 0),
    ],
)
def test_an_hour(claimed: Hour, listed: list[Listed], verdict: Verdict, faces: int) -> None:
    assert judge(claimed, listed, 10, NO_GAPS, 0) == Finding(verdict, faces)


def test_a_face_that_was_evicted_while_it_was_in_flight_is_not_unexpected() -> None:
    assert judge(claim(1, 4), there(1, 2, 4), 10, Ranges([(2, 3)]), 0).verdict is Verdict.BALANCED


def test_a_confirmed_face_between_many_evicted_ones_is_not_missing() -> None:
    """Ranges that are close to each other are merged in a digest with many of them."""
    merged = Ranges([(2, 8)])
    assert judge(claim(1, 4), there(1, 4), 10, merged, 0).verdict is Verdict.BALANCED
    assert judge(claim(1, 4), there(1, 3, 4), 10, merged, 0).verdict is Verdict.OPEN
    assert judge(claim(1, 4), there(1), 10, merged, 0) == Finding(Verdict.MISSING, 1)


def test_erasures_explain_as_many_absent_faces_as_were_erased() -> None:
    assert judge(claim(1, 2, 3), there(1), 10, NO_GAPS, 2) == Finding(Verdict.ERASED, 2)
    assert judge(claim(1, 2, 3), there(1), 10, NO_GAPS, 1) == Finding(Verdict.MISSING, 2)


@pytest.mark.parametrize(
    ("lines", "listed", "finding"),
    [
        ("1s 2s 3p", there(1, 2, 3), Finding(Verdict.BALANCED)),
        ("1s 2s 3p", there(1, 2), Finding(Verdict.BALANCED)),
        ("1s 2s 3s", there(1), Finding(Verdict.MISSING, 2, (2, 3))),
        ("1s 2s 3p", there(1, 3), Finding(Verdict.MISSING, 1, (2,))),
        ("1s 2s", there(1, 2, 7), Finding(Verdict.UNEXPECTED, 1, (7,))),
        ("1s 2s", [*there(1), Listed(2, tag(9), NOW)], Finding(Verdict.OTHER, 1, (2,))),
        ("1s", there(1, 5, 11), Finding(Verdict.BALANCED)),  # 5 is gone, 11 is newer
        ("1s 6s", there(1), Finding(Verdict.ERASED, 1)),
        ("1s 6s 7s", there(1), Finding(Verdict.MISSING, 1, (7,))),
        ("", [], Finding(Verdict.BALANCED)),
    ],
)
def test_lines_name_the_faces(lines: str, listed: list[Listed], finding: Finding) -> None:
    known = [Line(int(text[:-1]), tag(int(text[:-1])), text[-1]) for text in lines.split()]
    gone, erased = Ranges([(5, 5)]), Ranges([(6, 6)])
    assert compare_lines(known, listed, 10, gone, erased.__contains__) == finding


def test_ranges() -> None:
    found = Ranges([(5, 7), (1, 2), (3, 3), (6, 9), (20, 20)])
    assert [n for n in range(30) if n in found] == [1, 2, 3, 5, 6, 7, 8, 9, 20]
    assert len(found) == 9
    assert 0 not in Ranges(())
