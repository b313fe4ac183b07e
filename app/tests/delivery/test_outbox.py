"""The outbox keeps what it took, says what it gave up, and gets over a full disk and a kill."""

import itertools
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from facefleet.delivery.backlog import Rank
from facefleet.delivery.database import OutboxError
from facefleet.delivery.outbox import (
    _OLDEST,
    DamagedFaceError,
    DiskFullError,
    NoStorageError,
    Outbox,
    ranges,
)
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.protocol import FaceName, content_tag
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

BIG = 1 << 30
AT = datetime(2026, 2, 28, 23, 59, 59, 1, UTC)


def jpeg(number: int, size: int = 1000) -> bytes:
    return b"%d:" % number + bytes(size)


def faces(first: int, last: int, size: int = 1000) -> list[tuple[datetime, bytes]]:
    return [
        (AT + timedelta(microseconds=number), jpeg(number, size))
        for number in range(first, last + 1)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    outbox = Outbox(path, "edge-1", "front", BIG)
    yield outbox
    outbox.close()


def pairs(names: list[FaceName]) -> list[tuple[int, str]]:
    return [(name.seq, name.tag) for name in names]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_three_faces_with_another_number_of_ranks_are_refused(outbox: Outbox, count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        outbox.add(faces(1, 3), [Rank.FIRST] * count)
    assert outbox.counts.captured == 0
    assert seqs(outbox) == []
    names, _ = outbox.add(faces(1, 3), [Rank.FIRST] * 3)
    assert [name.seq for name in names] == [1, 2, 3]


def test_the_oldest_unconfirmed_face_has_an_age(outbox: Outbox) -> None:
    """Whatever its rank, and although a device's clock may have been set back."""
    assert outbox.oldest_age(0.0) is None
    names, _ = outbox.add(faces(1, 3), [Rank.FURTHER, Rank.FIRST, Rank.FIRST])
    captured = AT.timestamp()
    assert outbox.oldest_age(captured + 60) == pytest.approx(60, abs=0.01)
    assert outbox.oldest_age(captured - 60) == 0
    later, _ = outbox.add([(AT + timedelta(seconds=50), jpeg(4))], [Rank.FIRST])
    outbox.record_outcomes(pairs(names))
    assert outbox.oldest_age(captured + 60) == pytest.approx(10, abs=0.01)
    outbox.record_outcomes(pairs(later))
    assert outbox.oldest_age(captured + 60) is None


def test_the_age_of_the_oldest_face_is_found_by_the_index(outbox: Outbox) -> None:
    plan = " ".join(row[3] for row in outbox._db.execute(f"EXPLAIN QUERY PLAN {_OLDEST}"))
    assert "SCAN" not in plan
    assert plan.count("USING INDEX ledger_pending") == len(Rank)


def test_the_free_disk_of_a_folder_that_is_gone_is_unknown(outbox: Outbox) -> None:
    assert outbox.disk_free() > 0
    outbox.path.parent.rename(outbox.path.parent.with_name("moved"))
    assert outbox.disk_free() is None
    outbox.path.parent.with_name("moved").rename(outbox.path.parent)


def seqs(outbox: Outbox) -> list[int]:
    return sorted(seq for rank in Rank for seq, _ in outbox.backlog(rank, math.inf, 1 << 20))


def test_names_count_from_one_without_gaps(outbox: Outbox) -> None:
    names = [name for n in (1, 4, 7) for name in outbox.add(faces(n, n + 2))[0]]
    assert [name.seq for name in names] == list(range(1, 10))
    assert [name.tag for name in names] == [content_tag(jpeg(n)) for n in range(1, 10)]
    assert {(name.device, name.camera, name.epoch) for name in names} == {
        ("edge-1", "front", outbox.epoch)
    }
    assert outbox.read(7) == (names[6], jpeg(7))


def test_the_backlog_is_read_by_rank_from_the_newest_on(outbox: Outbox) -> None:
    names, _ = outbox.add(faces(1, 9), [Rank.FIRST, Rank.FURTHER, Rank.FURTHER] * 3)
    outbox.record_outcomes(pairs(names)[4:5])
    first = [(seq, len(jpeg(seq))) for seq in (7, 4, 1)]
    assert outbox.backlog(Rank.FIRST, math.inf, 9) == first
    assert outbox.backlog(Rank.FIRST, 7, 1) == first[1:2]
    assert [seq for seq, _ in outbox.backlog(Rank.FURTHER, 9, 3)] == [8, 6, 3]
    outbox.record_outcomes([], dead=[(*pairs(names)[5], "why")])
    reader = OutboxReader(outbox.path)
    reader.retry([6])
    reader.close()
    assert [seq for seq, _ in outbox.backlog(Rank.FURTHER, 9, 3)] == [8, 6, 3]


def test_the_next_faces_are_found_without_a_look_at_all_pictures(outbox: Outbox) -> None:
    outbox.add(faces(1, 9))
    db = outbox._db._db
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    outbox.backlog(Rank.FURTHER, 9, 3)
    outbox._evict(1, "the outbox is full")
    db.set_trace_callback(None)
    reads = [sql for sql in statements if "length(jpeg)" in sql]
    assert len(reads) == 2
    for sql in reads:
        faces_read, pictures_read, *more = [
            row[-1] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
        assert "ledger USING INDEX ledger_pending" in faces_read
        assert pictures_read == "SEARCH pending USING INTEGER PRIMARY KEY (rowid=?)"
        assert not more  # such as sorting


def test_a_settled_face_is_gone_and_counted(outbox: Outbox) -> None:
    names, _ = outbox.add(faces(1, 4))
    (one, two, three, _) = pairs(names)
    settled = outbox.record_outcomes([one, one], [two], [(*three, "too large")])
    assert [seq for seq, _ in settled] == [1, 2, 3]
    assert settled[0][1] == pytest.approx(names[0].captured.timestamp())
    assert seqs(outbox) == [4]
    assert outbox.read(1) is None
    counts = outbox.counts
    assert (counts.stored, counts.quarantined, counts.dead, counts.pending) == (1, 1, 1, 1)
    assert outbox.record_outcomes([one, two], [(*three[:1], "0" * 8)], [(*three, "again")]) == []
    assert outbox.counts == counts


def test_a_receipt_that_comes_late_settles_a_dead_letter(outbox: Outbox) -> None:
    (one, two) = pairs(outbox.add(faces(1, 2))[0])
    outbox.record_outcomes([], dead=[(*one, "never answered"), (*two, "never answered")])
    assert [seq for seq, _ in outbox.record_outcomes([one], [two])] == [1, 2]
    counts = outbox.counts
    assert (counts.stored, counts.quarantined, counts.dead, counts.pending) == (1, 1, 0, 0)
    assert OutboxReader(outbox.path).dead_letters() == []
    outbox.close()
    assert OutboxReader(outbox.path).counts() == counts


@pytest.mark.parametrize("byte", [0, 500, 1001])
def test_a_picture_that_was_damaged_meanwhile_is_not_given_out(
    outbox: Outbox, path: Path, byte: int
) -> None:
    outbox.add(faces(1, 2))
    damaged = bytearray(jpeg(1))
    damaged[byte] ^= 1
    with sqlite3.connect(path) as db:
        db.execute("UPDATE pending SET jpeg = ? WHERE seq = 1", (bytes(damaged),))
    db.close()
    with pytest.raises(DamagedFaceError, match="damaged"):
        outbox.read(1)
    assert outbox.read(2)[1] == jpeg(2)


def test_another_lifes_receipt_is_left_alone(outbox: Outbox) -> None:
    ((seq, tag), _) = pairs(outbox.add(faces(1, 2))[0])
    other = "0" * 8
    assert tag != other
    assert outbox.record_outcomes([(seq, other)], [(seq, other)], [(seq, other, "why")]) == []
    assert outbox.record_outcomes([(99, tag)]) == []
    assert outbox.counts.pending == 2
    assert outbox.read(seq) is not None


def test_reopened_it_is_the_same(path: Path) -> None:
    first = Outbox(path, "edge-1", "front", 20_000)
    names, _ = first.add(faces(1, 30))
    first.record_outcomes(pairs(names)[20:25], pairs(names)[25:26], [(*pairs(names)[26], "why")])
    epoch, counts, backlog = first.epoch, first.counts, seqs(first)
    kept = [first.read(seq) for seq in backlog]
    first.close()
    second = Outbox(path, "edge-1", "front", 20_000)
    assert (second.epoch, second.counts, seqs(second)) == (epoch, counts, backlog)
    assert [second.read(seq) for seq in backlog] == kept
    assert second.add(faces(31, 31))[0][0].seq == 31
    second.close()


def test_the_oldest_make_room(path: Path) -> None:
    outbox = Outbox(path, "edge-1", "front", 10 * 1003)
    _, gone = outbox.add(faces(1, 9, 1001))
    assert gone == []
    names, gone = outbox.add(faces(10, 14))
    assert gone == [1, 2, 3, 4, 5][: len(gone)]
    assert seqs(outbox) == list(range(len(gone) + 1, 15))
    outbox.record_outcomes(pairs(names)[:1])
    more = outbox.add(faces(15, 20))[1]
    assert more == list(range(len(gone) + 1, len(gone) + 1 + len(more)))
    evicted = _rows(path, "SELECT first, last, reason FROM evicted")
    assert evicted == [(1, more[-1], "the outbox is full")]
    assert outbox.counts.evicted == more[-1]
    outbox.close()


def test_a_face_confirmed_between_leaves_a_gap_in_the_evicted(path: Path) -> None:
    outbox = Outbox(path, "edge-1", "front", 6 * 1002)
    names, _ = outbox.add(faces(1, 6))
    outbox.record_outcomes([pairs(names)[1]])
    assert outbox.add(faces(7, 9))[1] == [1, 3]
    assert _rows(path, "SELECT first, last FROM evicted") == [(1, 1), (3, 3)]
    outbox.close()


def test_the_first_face_of_each_visit_is_evicted_last(path: Path) -> None:
    outbox = Outbox(path, "edge-1", "front", 9 * 1002)
    outbox.add(faces(1, 9), [Rank.FIRST, Rank.FURTHER, Rank.FURTHER] * 3)
    assert outbox.add(faces(10, 12, 999))[1] == [2, 3, 5]
    assert _rows(path, "SELECT first, last FROM evicted") == [(2, 3), (5, 5)]
    assert outbox.add(faces(13, 14, 999))[1] == [6, 8]
    assert outbox.add(faces(15, 17, 999))[1] == [1, 4, 9]
    assert _rows(path, "SELECT first, last FROM evicted") == [(1, 6), (8, 9)]
    assert seqs(outbox) == [7, *range(10, 18)]
    counts = outbox.counts
    assert (counts.captured, counts.pending, counts.evicted) == (17, 9, 8)
    outbox.close()
    again = OutboxReader(path)
    assert again.counts() == counts
    again.close()


def test_a_file_of_an_older_version_has_only_first_faces(path: Path) -> None:
    outbox = Outbox(path, "edge-1", "front", BIG)
    outbox.add(faces(1, 3))
    outbox.close()
    with sqlite3.connect(path) as db:
        db.execute("DROP INDEX ledger_pending")
        db.execute("ALTER TABLE ledger DROP COLUMN rank")
    db.close()
    again = Outbox(path, "edge-1", "front", BIG)
    again.add(faces(4, 4), [Rank.FURTHER])
    assert [seq for seq, _ in again.backlog(Rank.FIRST, math.inf, 9)] == [3, 2, 1]
    assert [seq for seq, _ in again.backlog(Rank.FURTHER, math.inf, 9)] == [4]
    again.close()


def _rows(path: Path, sql: str) -> list[tuple]:
    with sqlite3.connect(path) as db:
        rows = db.execute(sql).fetchall()
    db.close()
    return rows


@pytest.mark.parametrize(
    ("seqs", "found"),
    [([], []), ([5], [(5, 5)]), ([1, 2, 3], [(1, 3)]), ([1, 3, 4, 9], [(1, 1), (3, 4), (9, 9)])],
)
def test_ranges(seqs: list[int], found: list[tuple[int, int]]) -> None:
    assert ranges(seqs) == found


class AnyStory(RuleBasedStateMachine):
    """Whatever happens to an outbox: nothing is lost uncounted, and the size is bounded."""

    face = Bundle("face")
    LIMIT = 20_000

    @initialize()
    def open(self) -> None:
        self.path = Path(os.environ["OUTBOX_UNDER_TEST"]) / f"{id(self)}-{os.urandom(4).hex()}"
        self.outbox = self._open()
        self.pending: dict[int, tuple[str, bytes]] = {}
        self.ranks: dict[int, Rank] = {}
        self.stored = self.quarantined = self.dead = self.evicted = self.captured = 0

    def _open(self) -> Outbox:
        return Outbox(self.path, "edge-1", "front", self.LIMIT)

    @rule(
        target=face,
        new=st.lists(
            st.tuples(st.integers(1, 4000), st.sampled_from(Rank)), min_size=1, max_size=4
        ),
    )
    def add(self, new: list[tuple[int, Rank]]):
        sizes, ranks = zip(*new, strict=True)
        batch = [(AT, jpeg(self.captured + n, size)) for n, size in enumerate(sizes)]
        before = sorted(self.pending, key=lambda seq: (-self.ranks[seq], seq))
        names, gone = self.outbox.add(batch, ranks)
        self.captured += len(batch)
        self.ranks.update(zip((name.seq for name in names), ranks, strict=True))
        assert gone == sorted(before[: len(gone)])  # the worst, and of these the oldest
        for seq in gone:
            del self.pending[seq]
        self.evicted += len(gone)
        for name, (_, data) in zip(names, batch, strict=True):
            self.pending[name.seq] = name.tag, data
        return multiple(*pairs(names))

    @rule(pair=consumes(face), verdict=st.sampled_from(["stored", "quarantined", "dead"]))
    def settle(self, pair: tuple[int, str], verdict: str) -> None:
        there = pair[0] in self.pending
        rows = {"stored": [], "quarantined": [], "dead": []}
        rows[verdict] = [(*pair, "why")] if verdict == "dead" else [pair]
        settled = self.outbox.record_outcomes(**rows)
        assert [seq for seq, _ in settled] == [pair[0]] * there
        if there:
            del self.pending[pair[0]]
            setattr(self, verdict, getattr(self, verdict) + 1)

    @rule(pair=face, tag=st.from_regex(r"[0-9a-f]{8}", fullmatch=True))
    def settle_another(self, pair: tuple[int, str], tag: str) -> None:
        if tag != pair[1]:
            assert self.outbox.record_outcomes([(pair[0], tag)]) == []

    @rule()
    def reopen(self) -> None:
        self.outbox.close()
        self.outbox = self._open()

    @invariant()
    def balances(self) -> None:
        c = self.outbox.counts
        assert c.captured == (c.stored + c.quarantined + c.pending + c.evicted + c.dead + c.dropped)
        assert (c.captured, c.stored, c.quarantined, c.pending, c.evicted, c.dead) == (
            self.captured,
            self.stored,
            self.quarantined,
            len(self.pending),
            self.evicted,
            self.dead,
        )

    @invariant()
    def keeps(self) -> None:
        assert seqs(self.outbox) == sorted(self.pending)
        for seq, (tag, data) in self.pending.items():
            name, kept = self.outbox.read(seq)
            assert (name.tag, kept) == (tag, data)

    @invariant()
    def sums_up_what_was_evicted(self) -> None:
        evicted = _rows(self.path, "SELECT first, last FROM evicted ORDER BY first")
        assert all(last < after - 1 for (_, last), (after, _) in itertools.pairwise(evicted))

    @invariant()
    def is_bounded(self) -> None:
        assert sum(len(data) for _, data in self.pending.values()) <= self.LIMIT

    def teardown(self) -> None:
        self.outbox.close()


def test_any_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOX_UNDER_TEST", str(tmp_path))
    run_state_machine_as_test(
        AnyStory, settings=settings(max_examples=25, stateful_step_count=25, deadline=None)
    )


def test_a_batch_is_one_commit(outbox: Outbox, path: Path) -> None:
    reader = sqlite3.connect(path)
    seen = set()

    def look() -> int:
        seen.add(reader.execute("SELECT count(*) FROM pending").fetchone()[0])
        return 0

    connection = outbox._db._db  # SQLite calls `look` at every step of the statements
    connection.set_progress_handler(look, 1)
    outbox.add(faces(1, 32))
    connection.set_progress_handler(None, 0)
    look()
    reader.close()
    assert seen == {0, 32}


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from facefleet.delivery.outbox import Outbox

outbox = Outbox(Path(sys.argv[1]), "edge-1", "front", 1 << 30)
number = outbox.counts.captured
while True:
    number += 5
    names, _ = outbox.add((datetime.now(UTC), b"%d" % n * 500) for n in range(number - 5, number))
    print(*(f"{name.seq}-{name.tag}" for name in names), sep="\\n", flush=True)
    outbox.record_outcomes([(name.seq, name.tag) for name in names[:1]])
"""


def test_a_killed_writer_loses_nothing_that_was_taken(path: Path) -> None:
    taken: list[str] = []
    for life in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        with writer:
            for _ in range(40 + 7 * life):
                taken.append(writer.stdout.readline().strip())
            writer.send_signal(signal.SIGKILL)
            taken += [line.strip() for line in writer.stdout if line.endswith("\n")]
    outbox = Outbox(path, "edge-1", "front", BIG)
    pending = {seq: outbox.read(seq)[0].tag for seq in seqs(outbox)}
    for seq, _, tag in (word.partition("-") for word in taken):
        assert pending.get(int(seq), tag) == tag
        assert int(seq) in pending or int(seq) % 5 == 1  # the first of each batch was confirmed
    counts = outbox.counts
    assert counts.captured == counts.stored + counts.pending
    assert 0 <= counts.captured - len(taken) <= 15  # a batch a life: taken, and the word lost
    outbox.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can only be mounted by root, with the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take what room there is."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_a_full_disk_is_got_over(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facefleet.delivery.outbox.RESERVE", 0)
    outbox = Outbox(small_disk / "outbox.sqlite", "edge-1", "front", BIG)
    outbox.add(faces(1, 100))
    ballast = fill(small_disk)

    full, gone, number = 0, 0, 101
    for _ in range(100):  # 400 faces into no room: the oldest give theirs, or it is refused
        try:
            gone += len(outbox.add(faces(number, number + 3, 4000))[1])
            number += 4
        except DiskFullError:
            full += 1
    counts = outbox.counts
    assert gone or full
    assert counts.evicted == gone
    assert counts.captured == counts.pending + counts.evicted == number - 1

    ballast.unlink()
    names, _ = outbox.add(faces(1, 4))
    assert names[0].seq == number
    assert outbox.record_outcomes(pairs(names))
    before = outbox.counts
    outbox.close()
    again = Outbox(small_disk / "outbox.sqlite", "edge-1", "front", BIG)
    assert again.counts == before
    again.close()


def test_a_full_disk_of_an_empty_outbox_is_told(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "outbox.sqlite", "edge-1", "front", BIG)
    ballast = fill(small_disk)
    for _ in range(3):
        with pytest.raises(DiskFullError, match="free some space"):
            outbox.add(faces(1, 32, 20_000))
    assert outbox.counts.captured == 0
    ballast.unlink()
    names, gone = outbox.add(faces(1, 3))
    assert [name.seq for name in names] == [1, 2, 3]
    assert gone == []
    outbox.close()


LIMITED = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from facefleet.delivery.outbox import DiskFullError, Outbox

def limit(size):  # of any file that this process writes: what is beyond fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

outbox = Outbox(Path(sys.argv[1]), "edge-1", "front", 1 << 30)
limit(300_000)
full = gone = taken = 0
for number in range(200):
    try:
        gone += len(outbox.add([(datetime.now(UTC), b"%d" % number + bytes(4000))])[1])
        taken += 1
    except DiskFullError:
        full += 1
counts = outbox.counts
assert gone or full
assert counts.captured == taken == counts.pending + counts.evicted, counts
assert counts.evicted == gone
limit(resource.RLIM_INFINITY)
names, gone = outbox.add((datetime.now(UTC), bytes(20_000)) for _ in range(32))
assert [name.seq for name in names] == list(range(taken + 1, taken + 33))
assert gone == []
print("on it goes")
"""


def test_files_that_cannot_grow_are_got_over(path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False
    )
    assert result.stdout == "on it goes\n", result.stderr


def test_another_cameras_outbox_is_refused(outbox: Outbox, path: Path) -> None:
    outbox.close()
    with pytest.raises(OutboxError, match="is the outbox of edge-1/front and not of edge-1/back"):
        Outbox(path, "edge-1", "back", BIG)


def test_a_second_detector_is_kept_out(outbox: Outbox, path: Path) -> None:
    with pytest.raises(OutboxError, match="is in use by another detector"):
        Outbox(path, "edge-1", "front", BIG)
    assert outbox.add(faces(1, 1))


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "outbox.sqlite", tmp_path):
        with pytest.raises(OutboxError, match="check the path"):
            Outbox(path, "edge-1", "front", BIG)


@pytest.mark.parametrize("where", ["the header", "the middle", "all of it"])
def test_a_broken_file_is_set_aside(
    path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Outbox(path, "edge-1", "front", BIG)
    first.add(faces(1, 200))
    first.close()
    size = path.stat().st_size
    start, length = {
        "the header": (0, 100),
        "the middle": (4096, size - 8192),
        "all of it": (0, size),
    }[where]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xaa" * length)
    second = Outbox(path, "edge-1", "front", BIG)
    assert second.epoch != first.epoch
    assert second.counts.captured == 0
    assert second.add(faces(1, 1))[0][0].seq == 1
    second.close()
    assert len(list(path.parent.glob("outbox.sqlite.broken-*"))) == 1
    assert "outbox damaged and set aside" in "".join(capsys.readouterr())


FILLED_UP = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from facefleet.delivery.outbox import DiskFullError, Outbox

def add(count):
    outbox.add([(datetime.now(UTC), b"%d" % n + bytes(4000)) for n in range(count)])

outbox = Outbox(Path(sys.argv[1]), "edge-1", "front", 1 << 30)
add(200)
resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, resource.RLIM_INFINITY))
full = 0
while full < 20:
    try:
        add(4)
    except DiskFullError:
        full += 1
assert outbox.counts.evicted <= 2 * 4, outbox.counts
"""


def test_a_full_disk_costs_no_more_old_faces_than_new_ones_need(tmp_path: Path) -> None:
    """Where the log has no room either, to give up more would help nobody."""
    subprocess.run([sys.executable, "-c", FILLED_UP, str(tmp_path / "outbox.sqlite")], check=True)


@pytest.mark.parametrize("what", ["all", "file", "log", "lock", "folder", "replaced"])
def test_a_file_that_is_removed_or_replaced_while_it_is_open_comes_back(
    path: Path, what: str
) -> None:
    path = path.parent / "outboxes" / path.name
    outbox = Outbox(path, "edge-1", "front", BIG)
    names, _ = outbox.add(faces(1, 5))
    outbox.record_outcomes(pairs(names)[:2])
    epoch, counts = outbox.epoch, outbox.counts
    outbox.keep_in_place()
    assert not list(path.parent.glob("*.replaced-*")), "nothing is done while all is well"
    match what:
        case "folder":
            shutil.rmtree(path.parent)
        case "replaced":
            path.rename(path.with_name("another"))
            path.write_bytes(b"somebody else's")
        case _:
            ends = {"all": ["", "-wal", "-shm", ".lock"], "file": [""], "log": ["-wal"]}
            for end in ends.get(what, [".lock"]):
                path.with_name(path.name + end).unlink()
    names, _ = outbox.add(faces(6, 6))
    assert (outbox.epoch, names[0].seq) == (epoch, 6)
    assert seqs(outbox) == [3, 4, 5, 6]
    with pytest.raises(OutboxError, match="in use by another detector"):
        Outbox(path, "edge-1", "front", BIG)
    there = OutboxReader(path)  # as after kill -9
    assert there.epoch == epoch
    assert there.counts() == outbox.counts
    assert outbox.counts.captured == counts.captured + 1
    there.close()
    outbox.close()
    aside = [file.read_bytes() for file in path.parent.glob("*.replaced-*")]
    assert (b"somebody else's" in aside) == (what == "replaced")


def test_where_a_removed_file_cannot_be_written_again_nothing_is_acknowledged(path: Path) -> None:
    path = path.parent / "outboxes" / path.name
    outbox = Outbox(path, "edge-1", "front", BIG)
    outbox.add(faces(1, 5))
    shutil.rmtree(path.parent)
    path.parent.write_text("a file stands where the folder was")
    with pytest.raises(NoStorageError, match="removed or replaced"):
        outbox.add(faces(6, 6))
    path.parent.unlink()
    names, _ = outbox.add(faces(6, 6))
    assert names[0].seq == 6
    assert seqs(outbox) == [1, 2, 3, 4, 5, 6]
    outbox.close()


# -- another epoch ---------------------------------------------------------------------------------


def test_a_new_epoch_is_that_of_new_faces_alone(path: Path, outbox: Outbox) -> None:
    before, _ = outbox.add(faces(1, 3))
    first = outbox.epoch
    assert outbox.begin_epoch()
    after, _ = outbox.add(faces(4, 5))
    assert outbox.epoch != first
    assert [(name.seq, name.epoch) for name in after] == [(4, outbox.epoch), (5, outbox.epoch)]
    assert [outbox.read(name.seq)[0] for name in before + after] == before + after
    outbox.close()

    again = Outbox(path, "edge-1", "front", BIG)
    assert list(again.epochs) == [first, after[0].epoch]
    assert [again.read(name.seq)[0] for name in before + after] == before + after
    again.record_outcomes(pairs(before + after))
    again.close()
    with closing(OutboxReader(path)) as reader:
        reader.snapshot(AT - timedelta(days=1))
        assert [name for name, _ in reader.rows()] == before + after
        assert all(reader.knows(name) for name in before + after)
        assert not reader.knows(replace(before[0], epoch=after[0].epoch))
        assert not reader.knows(replace(after[0], epoch=first))


def test_an_epoch_without_a_face_leaves_no_trace(outbox: Outbox) -> None:
    for _ in range(3):
        outbox.begin_epoch()
    assert len(list(outbox.epochs)) == 1
    outbox.add(faces(1, 1))
    for _ in range(3):
        outbox.begin_epoch()
    assert len(list(outbox.epochs)) == 2


def test_faces_of_one_moment_are_ordered_by_name_across_epochs(path: Path, outbox: Outbox) -> None:
    for number in range(1, 13):
        outbox.add([(AT, jpeg(number))])
        outbox.begin_epoch()
    outbox.close()
    with closing(OutboxReader(path)) as reader:
        reader.snapshot(AT - timedelta(days=1))
        found = [str(name) for name, _ in reader.rows()]
    assert found == sorted(found)
    assert len(found) == 12
