"""The folder that images pass on the controller: it ends with its run."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "roles/app_image/files/folder.py"
# A run of Ansible, as far as its name tells: it makes a folder, and then waits.
RUN = f"""
import subprocess, sys
print(subprocess.check_output([sys.executable, {str(FOLDER)!r}, "make", sys.argv[1]], text=True))
print("made", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Starts runs; each is a process, and the paths that it was told."""
    program = tmp_path / "bin/ansible-playbook"
    program.parent.mkdir()
    program.write_text(RUN)
    processes = []

    def start():
        process = subprocess.Popen(
            [sys.executable, program, base(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        lines = iter(process.stdout.readline, "made\n")
        return process, [Path(line.strip()) for line in lines if line.strip()]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def base(tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir(exist_ok=True)
    return folder


def wait_until_gone(folder):
    end = time.monotonic() + 30
    while folder.exists():
        assert time.monotonic() < end, f"{folder} is still there"
        time.sleep(0.1)


def test_what_a_killed_run_leaves_is_removed(start):
    process, [folder] = start()
    (folder / "images.tar.gz").write_text("169 MB")
    assert folder.stat().st_mode & 0o777 == 0o700
    process.kill()
    process.communicate()
    wait_until_gone(folder)


def test_a_run_leaves_that_of_another_alone_and_tells_of_it(start):
    _, [first] = start()
    process, [second, *others] = start()
    assert others == [first]
    process.kill()
    process.communicate()
    wait_until_gone(second)
    assert first.exists()


def test_the_next_run_removes_what_an_earlier_one_left(start, tmp_path):
    _, [folder] = start()
    prefix = folder.name.rsplit("-", 2)[0]
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = base(tmp_path) / f"{prefix}-{ended.pid}-left"
    left.mkdir()
    (left / "images.tar.gz").touch()
    others = base(tmp_path) / f"facefleet-00000000-{ended.pid}-left"
    others.mkdir()
    _, [_, *kept] = start()
    assert kept == [folder]
    assert not left.exists()
    assert others.exists()  # another controller's, or another user's


def test_a_name_tells_the_process_of_the_run(start):
    process, [folder] = start()
    assert folder.name.split("-")[2] == str(process.pid)
    assert os.getpid() != process.pid
