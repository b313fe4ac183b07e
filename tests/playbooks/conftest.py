"""An AWS to try the playbooks on, and inventories for it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from support.playbooks import PORT, REGION, ROOT, SSH_PORT, Aws, answers, play, shell

SERVER = ROOT / "tests/support/aws_server.py"


@pytest.fixture(scope="session")
def aws():
    assert not answers(PORT), f"something else listens on {PORT}"
    server = subprocess.Popen(
        [sys.executable, SERVER, "-H", "127.0.0.1", "-p", str(PORT)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=shell(),
    )
    try:
        deadline = time.monotonic() + 60
        while not answers(PORT):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield Aws()
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def enforced(aws):
    """For the time of a test, calls need to be allowed."""
    aws.enforce(True)
    yield
    aws.enforce(False)


@pytest.fixture(scope="session")
def fleet(aws, tmp_path_factory):
    """Makes an inventory: `fleet("bucket", {"cloud-1": {...}}, **variables)`."""
    key = tmp_path_factory.mktemp("key") / "key.pub"
    public = Ed25519PrivateKey.generate().public_key()
    key.write_bytes(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))

    def make(bucket: str, cloud: dict | None = None, **variables) -> Path:
        folder = tmp_path_factory.mktemp(bucket)
        (folder / "group_vars").mkdir()
        hosts = {
            "cloud": {"hosts": cloud or {"cloud-1": {}}},
            "edge": {
                "hosts": {
                    "edge-1": {"facefleet_broker_allowed_cidrs": "203.0.113.12"},
                    "edge-2": {"facefleet_broker_allowed_cidrs": ["2001:db8::/64", "203.0.113.11"]},
                }
            },
        }
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": hosts}}))
        settings = {
            "facefleet_runtime": "k3s",
            "facefleet_bucket": bucket,
            "facefleet_region": REGION,
            "facefleet_aws_environment": aws.environment,
            "facefleet_state_dir": str(folder / "state"),
            "facefleet_pki_password": "quite secret",
            "facefleet_ssh_allowed_cidrs": "198.51.100.21",
            "facefleet_ssh_public_key_file": str(key),
            "ansible_port": SSH_PORT,
            **variables,
        }
        (folder / "group_vars/all.yml").write_text(yaml.safe_dump(settings))
        return folder

    return make


@pytest.fixture(scope="session")
def roles(fleet):
    """Run roles, each on a host with its own variables, and return each one's last words."""

    def run(hosts: dict[str, dict], **environment: str) -> dict[str, str]:
        inventory = fleet("roles-faces", hosts)
        done = play(
            "tests/playbooks/roles.yml",
            inventory,
            "--limit=cloud",
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
            **environment,
        )
        report, _ = json.JSONDecoder().raw_decode(done.output[done.output.index("{\n") :])
        words = dict.fromkeys(hosts, "")
        for one in report["plays"][0]["tasks"]:
            for host, result in one["hosts"].items():
                if result.get("failed"):
                    said = result["msg"]
                    words[host] = said if isinstance(said, str) else " ".join(said)
        return words

    return run
