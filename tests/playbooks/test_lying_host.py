"""Hosts that lie change nothing but themselves, in any playbook, and their neighbours are served.

Each lie has a host of its own, which is called like it. The run of site.yml has all of them. The
others have one of those that fail in the same task (playbooks/tasks/connect.yml).
"""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from support.playbooks import PORT, ROOT, play, sentences

BROKER = PORT + 40  # beside those of conftest.py, which begin at PORT
FIRST_PORT = PORT + 60
NO_MODULE = "The host's Python cannot run Ansible's modules"
CLAIMS = "This host returns connection_problem, facefleet_aws_environment, facefleet_bin_dir,"
# Host to the sentence that it gets. `late` is honest at first, and lies as `facts` does.
SENTENCES = {
    "facts": CLAIMS,
    "late": CLAIMS,
    "no-json": NO_MODULE,
    "flood": NO_MODULE,
    "exits": NO_MODULE,
    "silent": NO_MODULE,
    "delay": "The host's Python does not respond in time",
    "types": "",  # fails where its first answer is used
}
LIARS = set(SENTENCES)
LATE = {"late", "types"}  # a preflight asks too little to find them out
FEW = {"late", "facts", "silent"}
SERVED = FEW | {"types"}
CLOUD_NAMES = {"broker.facefleet", "processor.facefleet", "gallery.facefleet"}
pytestmark = pytest.mark.timeout(550)


class Fleet:
    """Two clouds and some devices on this machine, all but one of either lying.

    They have no services, and the S3 is moto's.
    """

    def __init__(self, folder, s3):
        self.folder, self.state, self.stolen = folder, folder / "state", folder / "stolen"
        clouds = {"cloud-1": {}, "cloud-late": self.liar("cloud-late")}
        devices = {"edge-1": {}, **{host: self.liar(host) for host in LIARS}}
        for number, variables in enumerate(devices.values()):
            variables["facefleet_base_port"] = FIRST_PORT + 20 * number
        (folder / "group_vars").mkdir()
        self.inventory("all", clouds, devices)
        for name, liars in (("few", FEW), ("served", SERVED)):
            self.inventory(
                name, clouds, {host: devices[host] for host in ("edge-1", *sorted(liars))}
            )
        # A rotation and a teardown need all hosts.
        self.inventory("two", {"cloud-1": {}}, {host: devices[host] for host in ("edge-1", "late")})
        self.inventory("stuck", {"cloud-1": {}}, {"edge-1": {}, "stuck": self.liar("stuck")})
        # What verify.yml and status.yml run on the controller.
        verify = f"echo $FACEFLEET_DEVICE >>{folder}/verified"
        program(
            folder / "bin/facefleet",
            f"#!/bin/sh\n[ $1 = verify ] || exec cat >{folder}/desired\n{verify}\n",
        )
        local = yaml.safe_load((ROOT / "inventories/local/group_vars/all.yml").read_text())
        self.common = {
            **local,
            "facefleet_bin_dir": str(folder / "bin"),
            "facefleet_state_dir": str(self.state),
            "facefleet_broker_nodeport": BROKER,
            "facefleet_s3_port": 0,
            "facefleet_s3_endpoint": s3,
            "facefleet_bucket": "faces-of-honest-hosts",
            "facefleet_pki_password": "quite secret",
            "facefleet_broker_implementation": "mosquitto",
        }
        self.set()

    def inventory(self, name, clouds, devices):
        groups = {"cloud": {"hosts": clouds}, "edge": {"hosts": devices}}
        (self.folder / f"{name}.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))

    def set(self, **more):
        """The inventory's settings, and `more`."""
        (self.folder / "group_vars/all.yml").write_text(yaml.safe_dump({**self.common, **more}))

    def liar(self, host):
        """The variables of a host that lies as it is called."""
        ways = {"cloud-late": ("facts", 1), "late": ("facts", 1), "stuck": ("delay", 1)}
        kind, honest = ways.get(host, (host, 0))
        plan = {"python": sys.executable, "kind": kind, "honest": honest}
        folder = self.folder / host
        program(folder / "python3", (ROOT / "tests/support/liar.py").read_text())
        program(folder / "facefleet", f"#!/bin/sh\nid >>{self.stolen}\n")
        (folder / "liar.json").write_text(json.dumps({**plan, "facts": self.facts(host)}))
        return {"ansible_python_interpreter": str(folder / "python3")}

    def facts(self, host):
        elsewhere = str(self.folder / "elsewhere")
        certificate = {
            "folder": str(self.state / host / "pki/forwarder"),
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
            "facefleet_bin_dir": str(self.folder / host),
            "facefleet_aws_environment": environment,
            "facefleet_cloud_address": "192.0.2.66",
            "inventory_hostname": "edge-1",
            "inventory_dir": elsewhere,
            "group_names": ["cloud"],
            "k3s_server": "edge-1",
            "k3s_airgap_dir": "/root",
            "app_image_builder": "localhost",
            "facefleet_broker_allowed_cidrs": "anywhere",
            "facefleet_confirm": "yes",
            "facefleet_unsent_faces": "delete",
            "facefleet_delete_faces": True,
            "problems": ["none"],
            "connection_problem": "",
            "omit": elsewhere,
        }

    def play(self, *playbooks, inventory="all", **variables):
        """A run of playbooks, without what ansible.cfg does against facts."""
        imports = [{"ansible.builtin.import_playbook": str(ROOT / path)} for path in playbooks]
        (self.folder / "plays.yml").write_text(yaml.safe_dump(imports))
        for asked in self.folder.glob("*/asked"):
            asked.unlink()
        broker = {"ready_url": f"tcp://127.0.0.1:{BROKER}"}
        services = f"{{{{ {{'broker': {broker}}} if 'cloud' in group_names else {{}} }}}}"
        stubs = {"facefleet_services": services, "facefleet_s3_services": {}}
        ran = play(
            self.folder / "plays.yml",
            self.folder / f"{inventory}.yml",
            *("-e", json.dumps({**stubs, **variables})),
            ANSIBLE_INJECT_FACT_VARS="True",
        )
        assert not self.stolen.exists(), self.stolen.read_text()
        assert not (self.folder / "elsewhere").exists()
        assert len(ran.output) < 200_000
        return ran

    def asked(self):
        """The liars that a run has spoken to."""
        return {path.parent.name for path in self.folder.glob("*/asked")}

    def certified(self):
        """Host to the names in its certificates, of those that have any."""
        found = {}
        for path in self.state.glob("*/pki/*/tls.crt"):
            subject = x509.load_pem_x509_certificate(path.read_bytes()).subject
            (name,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            found.setdefault(path.relative_to(self.state).parts[0], set()).add(name.value)
        return found

    def stop(self):
        subprocess.run([sys.executable, ROOT / "scripts/stop.py", self.state], check=True)


def program(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def failed(ran):
    """Hosts that the recap counts a failure of."""
    return set(re.findall(r"^(\S+) +: .*(?:failed|unreachable)=[1-9]", ran.output, re.M))


def last_words(ran, host):
    """What a host's failure says."""
    said = re.findall(rf"^fatal: \[{host}\]: FAILED! =>\s+(.*?)^\S", ran.output, re.M | re.S)
    return re.sub(r"\s+", " ", said[-1]).replace("''", "'")  # as YAML quotes a quote


@pytest.fixture(scope="module")
def fleet(aws, tmp_path_factory):
    made = Fleet(tmp_path_factory.mktemp("lying"), aws.endpoint)
    with socket.create_server(("127.0.0.1", BROKER)):
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def served(fleet):
    """The run that makes the authority. Who lies in its first playbook is not in the second."""
    return fleet.play("playbooks/edge.yml", "playbooks/cloud.yml", inventory="served")


@pytest.fixture(scope="module")
def checked(fleet, served):
    return fleet.play(
        *("playbooks/status.yml", "playbooks/verify.yml", "playbooks/revoke.yml"),
        inventory="few",
        facefleet_device="edge-1",
    )


def test_site_has_a_sentence_for_each_and_changes_nothing(fleet):
    """It begins with preflight.yml, which ends it."""
    ran = fleet.play("site.yml")
    assert fleet.asked() == LIARS | {"cloud-late"}
    *problems, advice = sentences(ran)
    said = {
        host: sentence
        for problem in problems
        for names, sentence in [problem.split(": ", 1)]
        for host in names.split(", ")
    }
    for host, sentence in SENTENCES.items():
        assert host in LATE or said[host].startswith(sentence), problems
    assert advice.startswith("Nothing was changed on any host.")
    assert "exclude hosts with --limit 'all" in advice, problems
    assert not fleet.state.exists()


def test_a_host_that_answers_no_more_does_not_hold_up_the_look_at_the_others(fleet):
    ran = fleet.play("playbooks/preflight.yml", inventory="stuck", check_timeout=20)
    words = " ".join(sentences(ran))
    assert "stuck: The host stopped responding (no answer within 20 s)" in words
    assert "edge-1:" not in words


def test_edge_and_cloud_serve_the_honest(fleet, served):
    assert failed(served) == SERVED | {"cloud-late"}, served.output[-5000:]
    for host in failed(served):
        assert {**SENTENCES, "cloud-late": CLAIMS}[host] in last_words(served, host)
    assert fleet.certified() == {"edge-1": {"edge-1"}, "cloud-1": CLOUD_NAMES}


def test_rotate_stops_before_another_authority_signs(fleet, served):
    ran = fleet.play("playbooks/rotate.yml", inventory="two")
    assert CLAIMS in last_words(ran, "late")
    authorities = fleet.state / "pki/authorities"
    assert authorities.joinpath("current").readlink() == Path("1")
    assert fleet.certified() == {"edge-1": {"edge-1"}, "cloud-1": CLOUD_NAMES}


def test_teardown_is_not_confirmed(fleet, served):
    ran = fleet.play("playbooks/teardown.yml", inventory="two")
    assert fleet.asked() == {"late"}
    assert "Nothing was removed: the answer was not" in ran.flat
    assert fleet.certified() == {"edge-1": {"edge-1"}, "cloud-1": CLOUD_NAMES}


def test_status_tells_of_a_device_what_the_inventory_and_ssh_say(fleet, checked):
    desired = json.loads((fleet.folder / "desired").read_text())
    assert set(desired) == FEW | {"edge-1"}
    content = desired["edge-1"].pop("content")
    assert re.fullmatch("[0-9a-f]{16}", content)
    assert desired["edge-1"] == {"k3s": None, "cameras": [], "ssh": ""}
    for host in FEW:
        assert desired[host]["content"] == content
        # Of `late` it asks a single question, which that answers.
        assert desired[host]["ssh"].startswith("" if host == "late" else SENTENCES[host])
        assert len(desired[host]["ssh"]) <= 500


def test_verify_sends_through_the_honest_device(fleet, checked):
    # Of `late` it asks a single question, which that answers.
    assert failed(checked) == FEW - {"late"} | {"cloud-late"}, checked.output[-5000:]
    assert set((fleet.folder / "verified").read_text().split()) == {"edge-1", "late"}


def test_revoke_reaches_the_honest_cloud(fleet, checked):
    assert CLAIMS in last_words(checked, "cloud-late")
    assert {path.name for path in (fleet.state / "pki/revoked").iterdir()} == {"edge-1"}
    (issued,) = fleet.state.glob("cloud-1/pki/broker/crl.pem")
    assert len(x509.load_pem_x509_crl(issued.read_bytes())) == 1


def test_verify_runs_nothing_on_the_controller_of_a_k3s_fleet(fleet):
    """It has a task for fleets of processes, which the controller runs."""
    k3s = {
        "facefleet_runtime": "k3s",
        "facefleet_s3_endpoint": "http://127.0.0.1:9000",
        "ansible_become": False,
        "facefleet_cameras": [{"name": "door", "source": "sample:hopper"}],
    }
    fleet.set(**k3s)
    ran = fleet.play("playbooks/verify.yml", inventory="few")
    fleet.set()
    assert fleet.asked() == FEW
    assert failed(ran) >= FEW, ran.output


def test_what_lives_in_aws_asks_no_host(fleet):
    ran = fleet.play("playbooks/aws.yml", "playbooks/teardown_aws.yml", inventory="few")
    assert ran.code == 0, ran.output[-5000:]
    assert "TASK [aws_storage : " in ran.output
    assert fleet.asked() == set()


def test_every_playbook_is_tried():
    tried = set(re.findall(r"(\w+)\.yml", Path(__file__).read_text()))
    there = {path.stem for path in ROOT.glob("playbooks/*.yml")}
    assert there - tried == {"settings"}  # the first of each
