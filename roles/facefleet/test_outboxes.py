"""The module outboxes, on outboxes that the app has made."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery.outbox import Outbox

LIBRARY = Path(__file__).parent / "library"
NOW = datetime.now(UTC)


def look(folder):
    """What the module says of a folder."""
    command = [Path(sys.executable).parent / "ansible", "localhost", "--one-line"]
    command += ["--connection=local", f"--module-path={LIBRARY}", "--module-name=outboxes"]
    command += [f"--args={json.dumps({'folder': str(folder), 'pattern': 'outbox-*.sqlite*'})}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.partition("=>")[2])["unsent"]


@pytest.fixture
def outbox(tmp_path):
    """One with three faces; it stays open, as a detector has it."""
    outbox = Outbox(tmp_path / "outbox-front.sqlite", "edge-1", "front", 1 << 30)
    outbox.names = outbox.add((NOW, bytes([number])) for number in range(3))[0]
    yield outbox
    outbox.close()


def test_what_waits_and_what_was_refused_is_counted(outbox):
    path = outbox.path
    assert look(path.parent) == [f"3 faces of the camera front ({path})"]
    first, second, third = [(name.seq, name.tag) for name in outbox.names]
    outbox.settle([first], dead=[(*second, "too big")])
    assert look(path.parent) == [f"1 face and 1 dead letter of the camera front ({path})"]
    outbox.settle([third])
    assert look(path.parent) == [f"1 dead letter of the camera front ({path})"]


def test_what_was_stored_is_not_told(outbox):
    outbox.settle([(name.seq, name.tag) for name in outbox.names])
    assert look(outbox.path.parent) == []


def test_what_cannot_be_read_is_told(tmp_path):
    broken = tmp_path / "outbox-front.sqlite.broken-20260101T000000Z"
    broken.write_bytes(b"x" * 5000)
    assert look(tmp_path) == [f"{broken} cannot be read (file is not a database)"]


def test_where_there_is_none_nothing_waits(tmp_path):
    assert look(tmp_path / "nowhere") == []
