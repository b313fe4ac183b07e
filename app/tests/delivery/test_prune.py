"""The ledger's lines of faces that the bucket has expired."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from facefleet.delivery import outbox as module
from facefleet.delivery.outbox import LEDGER_DAYS, Outbox
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.protocol import FaceName

NOW = datetime.now(UTC)
TODAY = NOW.date()
AGES = (LEDGER_DAYS + 2, LEDGER_DAYS + 1, LEDGER_DAYS, 0)  # days
YEARS = timedelta(days=5000)


def before(days: int) -> date:
    return TODAY - timedelta(days=days)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(Outbox(tmp_path / "front.sqlite", "edge-1", "front", 1 << 20)) as outbox:
        yield outbox


def capture(outbox: Outbox, count: int = len(AGES), at: datetime = NOW) -> list[tuple[int, str]]:
    names, _ = outbox.add([(at, b"jpeg %d" % number) for number in range(count)])
    return [(name.seq, name.tag) for name in names]


def lines(outbox: Outbox) -> list[FaceName]:
    with closing(OutboxReader(outbox.path)) as ledger:
        assert ledger.snapshot(datetime(1970, 1, 1, tzinfo=UTC)) == outbox.counts
        assert ledger.lines_gone == 0
        return [name for name, _ in ledger.rows()]


def set_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """The device's."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None) -> datetime:
            return datetime.now(tz) + ahead

    monkeypatch.setattr(module, "datetime", Clock)


@pytest.mark.parametrize("ahead", [timedelta(0), YEARS, -YEARS])
def test_lines_are_forgotten_by_the_buckets_clock(outbox: Outbox, ahead: timedelta) -> None:
    for face, age in zip(capture(outbox, at=NOW + ahead), AGES, strict=True):
        outbox.record_outcomes([face], day=before(age))
    assert outbox.prune() == 2
    assert outbox.prune() == 0
    assert [name.seq for name in lines(outbox)] == [3, 4]


def test_only_settled_lines_are_forgotten(outbox: Outbox) -> None:
    stored, quarantined, dead, pending = capture(outbox, at=NOW - YEARS)
    outbox.record_outcomes(
        [stored], [quarantined], [(*dead, "too large")], day=before(LEDGER_DAYS + 1)
    )
    (latest,) = capture(outbox, 1)
    outbox.record_outcomes([latest], day=TODAY)
    assert outbox.prune() == 2
    assert [name.seq for name in lines(outbox)] == [dead[0], pending[0], latest[0]]


@pytest.mark.parametrize(
    ("device", "bucket"), [(YEARS, timedelta(0)), (-YEARS, timedelta(0)), (timedelta(0), YEARS)]
)
def test_one_clock_that_jumps_forgets_nothing(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, device: timedelta, bucket: timedelta
) -> None:
    young, old, *_ = capture(outbox)
    outbox.record_outcomes([young], day=TODAY)
    set_clock(monkeypatch, device)
    outbox.record_outcomes([old], day=TODAY + bucket)
    assert outbox.prune() == 0
    assert len(lines(outbox)) == len(AGES)


def test_nothing_is_forgotten_until_the_bucket_tells_the_day(outbox: Outbox) -> None:
    outbox.record_outcomes(capture(outbox), day=before(LEDGER_DAYS + 1))
    outbox.close()
    with closing(Outbox(outbox.path, "edge-1", "front", 1 << 20)) as again:
        assert again.prune() == 0
        again.record_outcomes(capture(again, 1), day=TODAY)
        assert again.prune() == len(AGES)


def test_lines_that_stay_do_not_keep_others(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PRUNE_BATCH", 2)
    *waiting, face = capture(outbox, 6)
    outbox.record_outcomes([face], day=before(LEDGER_DAYS + 1))
    outbox.record_outcomes(capture(outbox, 1), day=TODAY)
    assert [outbox.prune() for _ in range(5)].count(1) == 1
    assert len(lines(outbox)) == len(waiting) + 1


def test_a_file_of_an_older_version_is_taken_over(outbox: Outbox) -> None:
    old = capture(outbox, 2, NOW - timedelta(days=LEDGER_DAYS + 1))
    outbox.record_outcomes([*old, *capture(outbox, 1)])
    outbox.close()
    with closing(sqlite3.connect(outbox.path)) as db, db:
        db.execute("ALTER TABLE ledger DROP COLUMN day")
    with closing(OutboxReader(outbox.path)) as ledger:  # a copy, that no detector has opened
        ledger.snapshot(NOW - timedelta(days=LEDGER_DAYS))
        assert [name.seq for name, _ in ledger.rows()] == [3]
        assert ledger.too_old == 2
    with closing(Outbox(outbox.path, "edge-1", "front", 1 << 20)) as again:
        again.record_outcomes(capture(again, 1), day=TODAY)
        assert again.prune() == 2
        assert [name.seq for name in lines(again)] == [3, 4]
