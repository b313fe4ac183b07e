"""`facefleet outbox` beside a detector that has the same file open."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery.outbox import Outbox

from lab.rig import BIN


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    outbox = Outbox(tmp_path / "front.sqlite", "edge-1", "front", 1 << 20)
    names, _ = outbox.add([(datetime.now(UTC), b"jpeg %d" % n) for n in range(5)])
    outbox.settle([], dead=[(name.seq, name.tag, "the key is too long") for name in names[1:4]])
    return outbox


def tool(outbox: Outbox, *words: object) -> subprocess.CompletedProcess:
    command = [BIN / "facefleet", "outbox", words[0], outbox.path, *map(str, words[1:])]
    return subprocess.run(command, capture_output=True, text=True)


def test_list_shows_counts_and_dead_letters(outbox: Outbox) -> None:
    shown = tool(outbox, "list").stdout
    assert f"edge-1/front, epoch {outbox.epoch}" in shown
    assert shown.count("the key is too long") == 3


def test_a_retried_letter_is_pending_again(outbox: Outbox) -> None:
    outbox.changed_elsewhere()
    assert tool(outbox, "retry", "--seq", 3).stdout == "1 faces will be sent again\n"
    assert outbox.changed_elsewhere()
    assert outbox.backlog(0, 10) == [1, 3, 5]
    name, jpeg = outbox.read(3)
    assert (name.seq, jpeg) == (3, b"jpeg 2")
    assert (outbox.counts.pending, outbox.counts.dead) == (3, 2)
    assert outbox.settle([(3, name.tag)])


def test_dropped_letters_are_remembered_as_dropped(outbox: Outbox) -> None:
    assert tool(outbox, "drop").stdout == "3 faces are deleted\n"
    outbox.changed_elsewhere()
    counts = outbox.counts
    assert (counts.captured, counts.pending, counts.dead, counts.dropped) == (5, 2, 0, 3)


def test_a_number_that_is_no_dead_letter_gets_a_sentence(outbox: Outbox) -> None:
    found = tool(outbox, "drop", "--seq", 2, "--seq", 5)
    assert found.returncode == 1
    assert "no dead letter has the number 5" in found.stderr
    assert tool(outbox, "list").stdout.count("the key is too long") == 3
