"""The module image_store, with what Docker would say of itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = Path(__file__).parents[2] / "plugins/modules"


@pytest.fixture
def gather(tmp_path, monkeypatch):
    """What the module finds, by a `docker` that runs the given script."""

    def gather(script, folder=""):
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        command = [Path(sys.executable).parent / "ansible", "localhost", "--one-line"]
        command += ["--connection=local", f"--module-path={MODULES}", "--module-name=image_store"]
        command += [f"--args={json.dumps({'folder': folder})}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.partition("=>")[2])

    return gather


def test_what_is_free_for_docker_is_asked_where_docker_has_its_images(gather, tmp_path):
    found = gather(f"echo warning >&2; echo {tmp_path}/not/made/yet")
    free = os.statvfs(tmp_path)
    assert found["free_bytes"] == pytest.approx(free.f_bavail * free.f_frsize, rel=0.1)
    assert (found["machine"], found["problem"]) == (os.uname().machine, "")


def test_a_docker_that_does_not_answer_is_said(gather):
    found = gather("echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    assert found["problem"] == "Cannot connect to the Docker daemon"
    assert "free_bytes" not in found


def test_k3s_needs_no_docker(gather):
    found = gather("exit 1", "/var/lib/rancher/k3s")
    assert found["problem"] == ""
    assert found["free_bytes"] > 0
