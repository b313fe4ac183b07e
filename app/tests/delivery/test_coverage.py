"""What an outbox keeps about each minute of its camera."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from facefleet.delivery import coverage
from facefleet.delivery.coverage import PATIENCE, Meter, Range
from facefleet.delivery.outbox import LEDGER_DAYS, Outbox, days
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.views import NO_STREAM, OFF, SEEN, STALLED

START = 1_800_000_000 // 60  # minutes since 1970
TODAY = datetime.now(UTC).date()


class Clocks:
    """A detector that looks at frames, and its two clocks."""

    def __init__(self, minute: int = START) -> None:
        self.now = 500.0
        self.wall = minute * 60.0
        self.meter = Meter(5, self.now)
        self.looks = True

    def be(self, state: str, seconds: float = 0) -> None:
        self.meter.change(state, self.now, self.wall)
        self.run(seconds)

    def run(self, seconds: float) -> None:
        """Pass some time, in which frames are looked at unless `looks` is false."""
        end = self.now + seconds
        while self.now < end:
            step = min(0.5, end - self.now)
            self.now, self.wall = self.now + step, self.wall + step
            if self.looks:
                self.look()

    def look(self) -> None:
        self.meter.looked(self.now, self.wall)

    def minutes(self, running: bool = False) -> dict[int, dict[str, int]]:
        return self.meter.minutes(self.now, self.wall, running=running)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(open_outbox(tmp_path / "front.sqlite")) as outbox:
        yield outbox


def open_outbox(path: Path) -> Outbox:
    return Outbox(path, "edge-1", "front", 1 << 20)


def rows(outbox: Outbox) -> list[Range]:
    with closing(OutboxReader(outbox.path)) as reader:
        return reader.coverage()


def by_minute(outbox: Outbox) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for first, last, state, seconds in rows(outbox):
        for minute in range(first, last + 1):
            assert state not in found.setdefault(minute, {})
            found[minute][state] = seconds
    return found


# -- measuring -----------------------------------------------------------------------------------


def test_seconds_are_measured_by_minute_and_state() -> None:
    clocks = Clocks()
    clocks.run(12)  # until the camera is open
    clocks.be(SEEN, 100)
    clocks.be("dark", 20)
    clocks.be(SEEN, 48)
    clocks.be(OFF, 60)
    assert clocks.minutes(running=True) == {
        START: {NO_STREAM: 12, SEEN: 48},
        START + 1: {SEEN: 52, "dark": 8},
        START + 2: {"dark": 12, SEEN: 48},
        START + 3: {OFF: 60},
    }


def test_the_running_minute_is_kept_back_and_what_is_recorded_is_forgotten() -> None:
    clocks = Clocks()
    clocks.be(SEEN, 90)
    assert clocks.minutes() == {START: {SEEN: 60}}
    clocks.meter.forget([START])
    assert clocks.minutes() == {}
    clocks.run(30)
    assert clocks.minutes() == {START + 1: {SEEN: 60}}


def test_a_detector_that_looks_at_nothing_has_not_seen() -> None:
    clocks = Clocks()
    clocks.be(SEEN, 40)
    clocks.looks = False  # the disk is full
    for _ in range(30):
        clocks.run(2)
        clocks.minutes()
    clocks.looks = True
    clocks.look()
    clocks.run(20)
    seen = {minute: seconds[SEEN] for minute, seconds in clocks.minutes().items()}
    assert seen == {START: 40 + PATIENCE, START + 1: 20}
    assert clocks.minutes()[START + 1] == {SEEN: 20, STALLED: 40}


def test_a_process_that_stood_still_has_not_seen_meanwhile() -> None:
    clocks = Clocks()
    clocks.be(SEEN, 60)
    clocks.now, clocks.wall = clocks.now + 90, clocks.wall + 90
    clocks.look()
    clocks.run(30)
    expected = {START: {SEEN: 60}, START + 1: {SEEN: 10, STALLED: 50}, START + 2: {STALLED: 30}}
    expected[START + 2][SEEN] = 30
    assert clocks.minutes() == expected


def test_threads_that_measure_out_of_order_measure_once() -> None:
    clocks = Clocks()
    clocks.be(SEEN, 50)
    late = clocks.now - 30, clocks.wall - 30
    clocks.minutes()
    clocks.meter.change("dark", *late)
    clocks.run(10)
    assert clocks.minutes() == {START: {SEEN: 50, "dark": 10}}


def test_a_slow_camera_is_not_stalled() -> None:
    meter = Meter(1 / 60, 0)  # a frame a minute
    meter.change(SEEN, 0, START * 60)
    for minute in range(5):
        meter.looked(minute * 60, (START + minute) * 60)
        meter.minutes(minute * 60 + 59, (START + minute) * 60 + 59, running=False)
    found = meter.minutes(300, START * 60 + 300, running=False)
    assert found == {START + minute: {SEEN: 60} for minute in range(5)}


def test_a_camera_that_is_off_is_not_stalled() -> None:
    clocks = Clocks()
    clocks.looks = False
    for state in (OFF, NO_STREAM):
        clocks.be(state, 60)
    assert clocks.minutes() == {START: {OFF: 60}, START + 1: {NO_STREAM: 60}}


@pytest.mark.parametrize("jump", [86_400.0, 5e8, -86_400.0, -1.7e9])
def test_a_clock_that_jumps_adds_no_seconds(jump: float) -> None:
    clocks = Clocks()
    clocks.be(SEEN, 90)
    clocks.minutes()
    clocks.wall += jump
    clocks.run(90)
    found = clocks.minutes(running=True)
    assert sum(seconds[SEEN] for seconds in found.values()) == 180
    assert max(seconds[SEEN] for seconds in found.values()) == 60
    afterwards = range(int((clocks.wall - 90) // 60), int((clocks.wall - 1) // 60) + 1)
    assert set(found) == {START, START + 1, *afterwards}


def test_parts_of_seconds_add_up_to_whole_minutes() -> None:
    clocks = Clocks()
    for n in range(600):
        clocks.be(SEEN if n % 2 else "dark", 0.1 + n % 7 / 10)
    found = list(clocks.minutes().values())
    assert len(found) == 3
    assert {sum(seconds.values()) for seconds in found} == {60}


# -- recording -----------------------------------------------------------------------------------


def test_a_good_day_is_one_row(outbox: Outbox) -> None:
    for minute in range(START, START + 1440):
        assert outbox.record_coverage({minute: {SEEN: 60}})
    assert rows(outbox) == [(START, START + 1439, SEEN, 60)]


def test_a_bad_minute_divides_a_range(outbox: Outbox) -> None:
    for minute, seconds in enumerate([{SEEN: 60}, {SEEN: 40, "dark": 20}, {SEEN: 60}], START):
        outbox.record_coverage({minute: seconds})
    assert rows(outbox) == [
        (START, START, SEEN, 60),
        (START + 1, START + 1, SEEN, 40),
        (START + 1, START + 1, "dark", 20),
        (START + 2, START + 2, SEEN, 60),
    ]


def test_two_runs_of_a_detector_share_a_minute(outbox: Outbox) -> None:
    outbox.record_coverage({START: {SEEN: 25}})
    outbox.record_coverage({START: {NO_STREAM: 3, SEEN: 20}})
    assert by_minute(outbox) == {START: {SEEN: 45, NO_STREAM: 3}}
    outbox.record_coverage({START: {SEEN: 50, "dark": 10}})
    assert by_minute(outbox) == {START: {SEEN: 57, NO_STREAM: 3}}


def test_a_minute_within_a_range_is_completed(outbox: Outbox) -> None:
    for minute in range(START, START + 5):
        outbox.record_coverage({minute: {SEEN: 30}})
    outbox.record_coverage({START + 2: {SEEN: 10, "dark": 5}})
    expected = {START + n: {SEEN: 30} for n in range(5)}
    assert by_minute(outbox) == {**expected, START + 2: {SEEN: 40, "dark": 5}}


def test_whatever_the_clock_does_no_minute_has_more_than_its_seconds(outbox: Outbox) -> None:
    chance = random.Random(1)
    wanted: Counter[int] = Counter()
    minute = START
    for _ in range(600):
        minute += chance.choice((1, 1, 1, 1, 1, 0, -3, 7))
        seconds = {state: chance.choice((0, 5, 30, 60)) for state in (SEEN, "dark", NO_STREAM)}
        outbox.record_coverage({minute: seconds})
        wanted[minute] += sum(seconds.values())
    found = {minute: sum(seconds.values()) for minute, seconds in by_minute(outbox).items()}
    assert found == {minute: min(60, total) for minute, total in wanted.items() if total}


def test_it_survives_the_detector(outbox: Outbox) -> None:
    outbox.record_coverage({START: {SEEN: 60}})
    outbox.close()
    with closing(open_outbox(outbox.path)) as again:
        again.record_coverage({START + 1: {SEEN: 60}})
        assert rows(again) == [(START, START + 1, SEEN, 60)]


def test_it_is_kept_as_long_as_the_ledger(outbox: Outbox) -> None:
    old, kept = (days(TODAY) - LEDGER_DAYS - 1) * 1440, (days(TODAY) - LEDGER_DAYS) * 1440
    for minute in (old, kept):
        outbox.record_coverage({minute: {SEEN: 60}})
    assert len(rows(outbox)) == 2  # the bucket has not told the day yet
    confirm(outbox, TODAY)
    outbox.record_coverage({kept + 1: {SEEN: 60}})
    assert rows(outbox) == [(kept, kept + 1, SEEN, 60)]


def test_a_bucket_whose_clock_jumps_deletes_nothing(outbox: Outbox) -> None:
    minute = days(TODAY) * 1440
    outbox.record_coverage({minute: {SEEN: 60}})
    confirm(outbox, TODAY + timedelta(days=5000))
    outbox.record_coverage({minute + 1: {SEEN: 60}})
    assert rows(outbox) == [(minute, minute + 1, SEEN, 60)]


def confirm(outbox: Outbox, day) -> None:
    (name,), _ = outbox.add([(datetime.now(UTC), b"jpeg")])
    outbox.record_outcomes([(name.seq, name.tag)], day=day)


def test_it_is_bounded_even_if_the_bucket_never_answers(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "MOST_ROWS", 10)
    for minute in range(START, START + 40):
        outbox.record_coverage({minute: {SEEN: 30 + minute % 2}})
    assert [row.first for row in rows(outbox)] == list(range(START + 30, START + 40))


def test_an_outbox_of_an_older_version_gets_the_table(outbox: Outbox) -> None:
    confirm(outbox, TODAY)
    outbox.close()
    with closing(sqlite3.connect(outbox.path)) as db, db:
        db.execute("DROP TABLE coverage")
    assert rows(outbox) == []  # a copy that no detector has opened
    with closing(open_outbox(outbox.path)) as again:
        assert again.counts.stored == 1
        again.record_coverage({START: {SEEN: 60}})
        assert rows(again) == [(START, START, SEEN, 60)]


def test_on_a_full_disk_it_waits(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox.record_coverage({START: {SEEN: 60}})
    size = outbox._db.value("PRAGMA page_count")
    outbox._db.execute(f"PRAGMA max_page_count = {size}")
    minutes = {START + 2 * n: {f"{n:0900}": 20} for n in range(1, 51)}
    assert not outbox.record_coverage(minutes)
    assert rows(outbox) == [(START, START, SEEN, 60)]
    outbox._db.execute("PRAGMA max_page_count = 1073741823")
    assert outbox.record_coverage(minutes)
    assert len(rows(outbox)) == 51
