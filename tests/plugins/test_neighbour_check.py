"""neighbour_check on a host of its own: what it finds, and what it leaves behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "plugins/modules/neighbour_check.py"
POD = {
    "metadata": {"labels": {"app.kubernetes.io/name": "broker"}},
    "status": {"podIP": "10.42.0.5"},
    "spec": {"containers": [{"ports": [{"containerPort": 1883}]}]},
}
# A host with one pod. The pod's network namespace is mounted as containerd mounts it: in a folder
# that is no mount point itself.
HOST = """
set -e
mount -t tmpfs tmpfs /run
mkdir /run/netns
touch /run/netns/cni-1
mount --bind /proc/self/ns/net /run/netns/cni-1
ip link set lo up
ip address add 10.42.0.5/32 dev lo
"$python" -m http.server --bind 10.42.0.5 1883 >/dev/null 2>&1 &
try='import socket; socket.create_connection(("10.42.0.5", 1883))'
until "$python" -c "$try" 2>/dev/null; do :; done
eval "$closed"
mounts=$(cat /proc/self/mountinfo)
"$python" "$module" "$arguments" || true
[ "$mounts" = "$(cat /proc/self/mountinfo)" ] || echo 'it has changed the mounts' >&2
! ip link show facefleet-nb0 2>/dev/null || echo 'it has left its link' >&2
kill $!
umount /run/netns/cni-1
rm /run/netns/cni-1
"""


@pytest.fixture
def check(tmp_path: Path):
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\necho '{json.dumps({'items': [POD]})}'\n")
    kubectl.chmod(0o755)

    def run(closed: str = "") -> dict:
        parameters = {"kubectl": [str(kubectl)], "namespaces": ["facefleet"]}
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c", HOST],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "python": sys.executable,
                "module": str(MODULE),
                "arguments": json.dumps({"ANSIBLE_MODULE_ARGS": parameters}),
                "closed": closed,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run


def test_an_open_port_is_named_and_the_pods_can_still_be_ended(check) -> None:
    found = check()
    assert found["failed"]
    assert found["msg"].startswith("Neighbours on the network can reach broker 10.42.0.5:1883: ")


def test_what_does_not_answer_a_neighbour_is_closed(check) -> None:
    found = check(closed="ip route add blackhole 169.254.77.2/32")
    assert found == {
        "changed": False,
        "refused": ["broker 10.42.0.5:1883"],
        "invocation": found["invocation"],
    }


def test_a_port_that_is_open_to_nobody_proves_nothing(check) -> None:
    assert check(closed="ip address delete 10.42.0.5/32 dev lo")["refused"] == []
