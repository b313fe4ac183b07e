"""`facefleet outbox` beside a detector that has the same file open."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery.backlog import Rank
from facefleet.delivery.outbox import Outbox

from support.shell import facefleet


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "front.sqlite", "edge-1", "front", 1 << 20)
    names, _ = outbox.add([(datetime.now(UTC), b"jpeg %d" % n) for n in range(5)])
    outbox.record_outcomes(
        [], dead=[(name.seq, name.tag, "the key is too long") for name in names[1:4]]
    )
    yield outbox
    outbox.close()


def tool(outbox: Outbox, *words: object) -> subprocess.CompletedProcess[str]:
    return facefleet("outbox", *map(str, (words[0], outbox.path, *words[1:])))


def test_list_shows_counts_and_dead_letters(outbox: Outbox) -> None:
    shown = tool(outbox, "list").stdout
    assert f"edge-1/front, epoch {outbox.epoch}" in shown
    assert shown.count("the key is too long") == 3


def test_a_retried_letter_is_pending_again(outbox: Outbox) -> None:
    outbox.changed_elsewhere()
    assert tool(outbox, "retry", "--seq", 3).stdout == "1 dead letter will be resent\n"
    assert outbox.changed_elsewhere()
    assert [seq for seq, _ in outbox.backlog(Rank.FIRST, 10, 10)] == [5, 3, 1]
    name, jpeg = outbox.read(3)
    assert (name.seq, jpeg) == (3, b"jpeg 2")
    assert (outbox.counts.pending, outbox.counts.dead) == (3, 2)
    assert outbox.record_outcomes([(3, name.tag)])


def test_dropped_letters_are_remembered_as_dropped(outbox: Outbox) -> None:
    assert tool(outbox, "drop", "--all").stdout == "3 dead letters deleted\n"
    outbox.changed_elsewhere()
    counts = outbox.counts
    assert (counts.captured, counts.pending, counts.dead, counts.dropped) == (5, 2, 0, 3)


def test_a_number_that_is_no_dead_letter_gets_a_sentence(outbox: Outbox) -> None:
    found = tool(outbox, "drop", "--seq", 2, "--seq", 5)
    assert found.returncode == 1
    assert "no dead letter has the number 5" in found.stderr
    assert tool(outbox, "list").stdout.count("the key is too long") == 3


def test_to_drop_all_has_to_be_said(outbox: Outbox) -> None:
    found = tool(outbox, "drop")
    assert found.returncode == 1
    assert "pass either --seq or --all" in found.stderr
    assert tool(outbox, "list").stdout.count("the key is too long") == 3


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000] + bytes(3000))


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA user_version = 1")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [broken, foreign, empty])
@pytest.mark.parametrize("words", [["outbox", "list"], ["outbox", "retry"], ["audit"]])
def test_what_is_no_whole_outbox_gets_a_sentence_and_is_left_alone(
    tmp_path: Path, words: list[str], spoil
) -> None:
    path = tmp_path / "front.sqlite"
    if spoil is broken:
        outbox = Outbox(path, "edge-1", "front", 1 << 20)
        outbox.add([(datetime.now(UTC), bytes(20_000))])
        outbox.close()
    spoil(path)
    before = path.read_bytes()
    found = facefleet(*words, str(path), BUCKET="faces")
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert "not an outbox" in line
    assert path.read_bytes() == before
