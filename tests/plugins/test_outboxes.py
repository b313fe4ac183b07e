"""The module outbox_info, on outboxes that the app has made."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery.outbox import Outbox

MODULES = Path(__file__).parents[2] / "plugins/modules"
NOW = datetime.now(UTC)


def look(folder, **more):
    """What the module says of a folder."""
    command = [Path(sys.executable).parent / "ansible", "localhost", "--one-line"]
    command += ["--connection=local", f"--module-path={MODULES}", "--module-name=outbox_info"]
    command += [
        f"--args={json.dumps({'folder': str(folder), 'pattern': 'outbox-*.sqlite*'} | more)}"
    ]
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
    outbox.record_outcomes([first], dead=[(*second, "too big")])
    assert look(path.parent) == [f"1 face and 1 dead letter of the camera front ({path})"]
    outbox.record_outcomes([third])
    assert look(path.parent) == [f"1 dead letter of the camera front ({path})"]


def test_what_was_stored_is_not_told(outbox):
    outbox.record_outcomes([(name.seq, name.tag) for name in outbox.names])
    assert look(outbox.path.parent) == []


def test_what_cannot_be_read_is_told(tmp_path):
    broken = tmp_path / "outbox-front.sqlite.broken-20260101T000000Z"
    broken.write_bytes(b"x" * 5000)
    assert look(tmp_path) == [f"{broken} cannot be read (file is not a database)"]


def test_where_there_is_none_nothing_waits(tmp_path):
    assert look(tmp_path / "nowhere") == []


def kubectl(tmp_path, *lines):
    """A command in place of kubectl, for `look`."""
    command = tmp_path / "kubectl"
    command.write_text("\n".join(["#!/bin/sh", *lines]))
    command.chmod(0o755)
    return {"kubectl": [str(command)], "namespace": "facefleet"}


@pytest.mark.parametrize("kind", ["hostPath", "local"])
def test_volumes_are_where_kubernetes_says(outbox, tmp_path, kind):
    volumes = [
        {"spec": {"claimRef": {"namespace": "facefleet"}, kind: {"path": str(tmp_path)}}},
        {"spec": {"claimRef": {"namespace": "others"}, kind: {"path": str(tmp_path / "x")}}},
        {"spec": {kind: {"path": "/nowhere"}}},
    ]
    told = kubectl(tmp_path, f"echo '{json.dumps({'items': volumes})}'")
    assert look("/nowhere", **told) == [f"3 faces of the camera front ({outbox.path})"]
    # One that is found in both ways is one.
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    assert len(look(link, **told)) == 1


def test_a_kubernetes_that_does_not_answer_may_have_faces(tmp_path):
    told = kubectl(tmp_path, "echo connection refused >&2", "exit 1")
    [said] = look(tmp_path, **told)
    assert said.startswith("an unknown number of faces: k3s does not say where its volumes are")
    assert "connection refused" in said


def test_where_kubernetes_is_not_installed_there_is_none(tmp_path):
    assert look(tmp_path, kubectl=[str(tmp_path / "none"), "kubectl"], namespace="facefleet") == []
