"""The images' tag: the app's content, and nothing else."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTEXT = ROOT / "roles/app_image/files/context.py"
APP = ROOT / "app"


def context(*arguments):
    command = [sys.executable, CONTEXT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def app(tmp_path):
    return Path(shutil.copytree(APP, tmp_path / "app"))


def test_a_tag_is_12_hex_digits_and_the_same_elsewhere(app):
    tag = context("tag", app, "debian")
    assert len(tag) == 12
    assert int(tag, 16) >= 0
    assert tag == context("tag", APP, "debian")


def test_times_modes_tests_and_what_runs_leave_behind_do_not_count(app):
    tag = context("tag", app, "debian")
    for path in app.rglob("*"):
        os.utime(path, (1, 1))
    (app / "src/facefleet/cli.py").chmod(0o600)
    (app / "src/facefleet/__pycache__").mkdir(exist_ok=True)
    (app / "src/facefleet/__pycache__/cli.cpython-399.pyc").write_bytes(b"another")
    (app / "src/facefleet/.cli.py.swp").write_bytes(b"another")
    (app / "tests/test_cli.py").write_text("another")
    assert context("tag", app, "debian") == tag


@pytest.mark.parametrize("name", ["src/facefleet/cli.py", "locks/common.txt", "Dockerfile"])
def test_each_part_counts(app, name):
    tag = context("tag", app, "debian")
    (app / name).write_text((app / name).read_text() + "\n# another")
    assert context("tag", app, "debian") != tag


def test_the_base_counts_and_so_does_a_name(app):
    tag = context("tag", app, "debian")
    assert context("tag", app, "another") != tag
    (app / "src/facefleet/cli.py").rename(app / "src/facefleet/cli2.py")
    assert context("tag", app, "debian") != tag


def test_the_tar_is_what_the_tag_is_made_of_and_the_same_each_time(app, tmp_path):
    context("tar", app, tmp_path / "first.tar")
    for path in app.rglob("*"):
        os.utime(path, (1, 1))
    context("tar", app, tmp_path / "second.tar")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    with tarfile.open(tmp_path / "first.tar") as tar:
        names = tar.getnames()
    assert {"Dockerfile", "locks/vision.txt", "src/facefleet/cli.py"} <= set(names)
    assert not [name for name in names if "test" in name or name.endswith(".pyc")]
