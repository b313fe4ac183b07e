"""Who is waited for before packages are installed, on folders in place of a machine's."""

import subprocess
import sys

import pytest

from support.role_variables import plugin

packages_free = plugin("modules", "packages_free")
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_machine_without_locks_is_free(tmp_path):
    assert packages_free.busy(tmp_path) is None


@pytest.mark.parametrize("lock", packages_free.LOCKS)
def test_who_has_a_lock_is_named_until_it_has_ended(tmp_path, lock):
    file = tmp_path / lock.lstrip("/")
    file.parent.mkdir(parents=True)
    file.touch()
    assert packages_free.busy(tmp_path) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        said = packages_free.busy(tmp_path)
        process.stdin.close()
    assert said.endswith(f"(process {process.pid}) still holds {lock}")
    assert packages_free.busy(tmp_path) is None


def test_cloud_init_is_waited_for_where_it_runs(tmp_path):
    folder = tmp_path / "run/cloud-init"
    folder.mkdir(parents=True)
    assert packages_free.busy(tmp_path) is None  # switched off
    (folder / "enabled").touch()
    assert packages_free.busy(tmp_path) == "cloud-init is still setting up this machine"
    (folder / "result.json").touch()
    assert packages_free.busy(tmp_path) is None
