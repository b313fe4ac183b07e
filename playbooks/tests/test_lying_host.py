"""A host that lies changes nothing but itself, whatever it answers, and its neighbour is served."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import PORT, ROOT, play
from cryptography import x509
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
BROKER, S3 = PORT + 40, PORT + 41  # beside those of conftest.py, which begin at PORT
FIRST = {"edge-1": PORT + 60, "edge-2": PORT + 80}


class Fleet:
    """A cloud, an honest device and one that lies, on this machine; their services are left out."""

    def __init__(self, folder):
        self.folder, self.state, self.stolen = folder, folder / "state", folder / "stolen"
        self.liar = folder / "liar"
        program(self.liar / "python3", (HERE / "liar.py").read_text())
        program(self.liar / "facefleet", f"#!/bin/sh\nid >>{self.stolen}\n")
        # What verify.yml runs on the controller.
        verify = f"#!/bin/sh\necho $FACEFLEET_DEVICE >>{folder}/verified\n"
        program(folder / "bin/facefleet", verify)
        devices = {name: {"facefleet_first_port": port} for name, port in FIRST.items()}
        devices["edge-2"]["ansible_python_interpreter"] = str(self.liar / "python3")
        hosts = {"cloud": {"hosts": {"cloud-1": {}}}, "edge": {"hosts": devices}}
        self.inventory = folder / "inventory"
        (self.inventory / "group_vars").mkdir(parents=True)
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": hosts}}))
        local = yaml.safe_load((ROOT / "inventories/local/group_vars/all.yml").read_text())
        self.common = {
            **local,
            "facefleet_bin_dir": str(folder / "bin"),
            "facefleet_state_dir": str(self.state),
            "facefleet_nodeport": BROKER,
            "facefleet_s3_port": S3,
            "facefleet_pki_password": "quite secret",
            "broker_kind": "mosquitto",
        }
        self.set()

    def set(self, **more):
        """The inventory's settings, and `more`."""
        path = self.inventory / "group_vars/all.yml"
        path.write_text(yaml.safe_dump({**self.common, **more}))

    def play(self, playbook, kind, *options, inject="True"):
        """A run against a lie; by `inject`, without what ansible.cfg does against facts."""
        plan = {"python": sys.executable, "kind": kind, "facts": self.facts()}
        (self.liar / "liar.json").write_text(json.dumps(plan))
        (self.liar / "asked").unlink(missing_ok=True)
        broker = {"ready": f"tcp://127.0.0.1:{BROKER}"}
        services = {"cloud": {"broker": broker}, "edge": {}, "s3": {}}
        ran = play(
            f"playbooks/{playbook}.yml",
            self.inventory,
            *("-e", json.dumps({"__facefleet_services": services})),
            *options,
            ANSIBLE_INJECT_FACT_VARS=inject,
        )
        assert not self.stolen.exists(), self.stolen.read_text()
        assert not (self.folder / "elsewhere").exists()
        return ran

    def facts(self):
        elsewhere = str(self.folder / "elsewhere")
        certificate = {
            "folder": str(self.state / "edge-2/pki/forwarder"),
            "name": "processor.facefleet",
            "usage": "clientAuth",
        }
        environment = {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "PYTHONWARNINGS": "all:0:antigravity.x:0:0",
            "BROWSER": f"/bin/sh -c 'id >>{self.stolen}' #%s",
        }
        return {
            "pki_certificates": [certificate],
            "pki_dir": elsewhere,
            "facefleet_pki_dir": elsewhere,
            "facefleet_state_dir": elsewhere,
            "facefleet_bin_dir": str(self.liar),
            "facefleet_aws_environment": environment,
            "facefleet_cloud_address": "192.0.2.66",
            "inventory_hostname": "edge-1",
            "inventory_dir": elsewhere,
            "group_names": ["cloud"],
            "k3s_server": "edge-1",
            "k3s_airgap_dir": "/root",
            "app_image_builder": "localhost",
            "facefleet_public_address": "anywhere",
            "confirm": "yes",
            "unsent_faces": "delete",
            "delete_faces": True,
            "problems": ["none"],
            "worked": True,
            "omit": elsewhere,
        }

    def certified(self):
        """The names in the certificates that the two devices have."""
        return {
            attribute.value
            for path in self.state.glob("edge-*/pki/*/tls.crt")
            for attribute in x509.load_pem_x509_certificate(
                path.read_bytes()
            ).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        }

    def stop(self):
        subprocess.run([sys.executable, ROOT / "scripts/stop.py", self.state], check=True)


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def failed(ran):
    """Hosts that the recap counts a failure of."""
    return set(re.findall(r"^(\S+) +: .*(?:failed|unreachable)=[1-9]", ran.output, re.M))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    made = Fleet(tmp_path_factory.mktemp("lying"))
    with socket.create_server(("127.0.0.1", BROKER)):
        try:
            cloud = made.play("cloud", "none")
            assert cloud.code == 0, cloud.output
            yield made
        finally:
            made.stop()


SENTENCES = {
    "facts": "This host returns facefleet_aws_environment, facefleet_bin_dir,",
    "no_json": "Its Python does not run Ansible's modules",
    "flood": "Its Python does not run Ansible's modules",
    "exits": "Its Python does not run Ansible's modules",
    "types": "",
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", SENTENCES)
def test_its_neighbour_is_served(fleet, kind):
    ran = fleet.play("edge", kind)
    assert failed(ran) == {"edge-2"}, ran.output[-5000:]
    assert SENTENCES[kind] in ran.flat
    assert len(ran.output) < 100_000
    assert fleet.certified() == {"edge-1"}
    ran = fleet.play("verify", kind)
    assert "edge-1" not in failed(ran), ran.output[-5000:]
    assert "edge-1" in fleet.folder.joinpath("verified").read_text().split()


@pytest.mark.timeout(600)
def test_the_preflight_has_a_sentence_for_it(fleet):
    ran = fleet.play("preflight", "no_json")
    assert failed(ran) != set()
    assert "edge-2: Its Python does not run Ansible's modules" in ran.flat
    assert "leave hosts out by --limit 'all,!edge-2'" in ran.flat


@pytest.mark.timeout(600)
def test_it_neither_rotates_nor_confirms(fleet):
    ran = fleet.play("rotate", "facts")
    assert ran.code != 0
    assert SENTENCES["facts"] in ran.flat
    authorities = fleet.state / "pki/authorities"
    assert authorities.joinpath("current").readlink() == Path("1")
    ran = fleet.play("teardown", "facts")
    assert "Nothing was removed, as the answer is not yes" in ran.flat
    assert fleet.certified() == {"edge-1"}


@pytest.mark.timeout(600)
def test_it_runs_no_command_on_the_controller_of_a_k3s_fleet(fleet):
    """verify.yml has a task for fleets of processes that the controller runs."""
    k3s = {
        "facefleet_runtime": "k3s",
        "facefleet_s3_endpoint": "http://127.0.0.1:9000",
        "ansible_become": False,
        "facefleet_cameras": [{"name": "door", "source": "sample:hopper"}],
    }
    fleet.set(**k3s)
    ran = fleet.play("verify", "facts")
    fleet.set()
    assert failed(ran) >= {"edge-2"}, ran.output
