"""The resolvers that pods are given, on folders in place of a host's."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "roles/k3s/files/resolvers.sh"
UPSTREAM = "nameserver 192.0.2.1\nsearch example.org"


@pytest.fixture
def host(tmp_path):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    return write


def run(root):
    """What the script says, and what pods are given then."""
    done = subprocess.run(["sh", SCRIPT, root], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout, (root / "var/lib/facefleet/resolv.conf").read_text().strip()


def test_the_resolvers_behind_the_one_of_the_host_are_taken(host, tmp_path):
    host("etc/resolv.conf", "nameserver 127.0.0.53\noptions edns0")
    host("run/systemd/resolve/resolv.conf", f"# by systemd-resolved\n{UPSTREAM}")
    assert run(tmp_path) == ("resolvers: 1\n", UPSTREAM)
    assert run(tmp_path) == ("", UPSTREAM)  # a second time changes nothing


def test_where_there_is_no_other_those_of_etc_are_taken(host, tmp_path):
    host("etc/resolv.conf", UPSTREAM)
    assert run(tmp_path)[1] == UPSTREAM


@pytest.mark.parametrize(
    "empty", ["# No DNS servers known.", "nameserver 127.0.0.53", "nameserver ::1"]
)
def test_a_host_that_boots_without_a_network_keeps_those_that_it_had(host, tmp_path, empty):
    host("etc/resolv.conf", UPSTREAM)
    run(tmp_path)
    host("etc/resolv.conf", empty)
    host("run/systemd/resolve/resolv.conf", empty)
    assert run(tmp_path) == ("", UPSTREAM)


def test_a_host_that_never_had_one_asks_nobody_outside(host, tmp_path):
    host("etc/resolv.conf", "nameserver 127.0.0.53")
    assert run(tmp_path)[1] == "nameserver 192.0.2.53"
    host("etc/resolv.conf", UPSTREAM)
    assert run(tmp_path)[1] == UPSTREAM
