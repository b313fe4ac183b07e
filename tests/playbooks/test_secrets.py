"""A secret of a run is in no log, diff or cache of it, and in no file that others can read."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from support.playbook_tasks import tasks

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PORTS = {"s3": 31991, "processor": 31992, "gallery": 31993, "node": 31994, "first": 31995}
INVENTORY = f"""
all:
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"
    facefleet_runtime: process
    facefleet_s3_port: {PORTS["s3"]}
    facefleet_s3_endpoint: http://127.0.0.1:{PORTS["s3"]}
    facefleet_s3_require_tls: false
    facefleet_aws_environment:
      AWS_ENDPOINT_URL: "{{{{ facefleet_s3_endpoint }}}}"
      AWS_REGION: "{{{{ facefleet_region }}}}"
      AWS_ACCESS_KEY_ID: testing
      AWS_SECRET_ACCESS_KEY: "{{{{ vault_aws_key }}}}"
    facefleet_gallery_password: "{{{{ vault_gallery_password }}}}"
    facefleet_pki_password: "{{{{ vault_pki_password }}}}"
    facefleet_cloud_address: 127.0.0.1
    facefleet_broker_nodeport: {PORTS["node"]}
    facefleet_processor_port: {PORTS["processor"]}
    facefleet_gallery_port: {PORTS["gallery"]}
    facefleet_base_port: {PORTS["first"]}
  children:
    cloud: {{hosts: {{cloud-1}}}}
    edge:
      hosts:
        edge-1:
          facefleet_cameras:
            - name: front
              source: "http://127.0.0.1:{{{{ camera_port }}}}/"
              user: user
              password: "{{{{ vault_camera_password }}}}"
              fps: 1
"""


class Camera(BaseHTTPRequestHandler):
    """A picture, over and over."""

    def do_GET(self):
        picture = (ROOT / "app/src/facefleet/vision/samples/astronaut.jpg").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
        try:
            while not self.server.dying.wait(0.2):
                self.wfile.write(head.encode() + picture + b"\r\n")
        except OSError:
            pass  # nobody looks any more

    def log_message(self, *_):
        pass


@contextmanager
def camera():
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        server.dying = threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        yield server.server_address[1]
        server.dying.set()
        server.shutdown()


class Fleet:
    """site.yml on one device of this machine, its secrets out of a vault."""

    def __init__(self, folder, camera_port):
        self.state, self.logs = folder / "state", folder / "logs"
        self.folder, self.camera_port = folder, camera_port
        self.logs.mkdir()
        names = ("aws_key", "camera_password", "gallery_password", "other_password", "pki_password")
        self.secrets = {name: secrets.token_hex(12) for name in names}
        self.password = folder / "vault-password"
        self.password.touch(mode=0o600)
        self.password.write_text(secrets.token_hex(12))
        (folder / "inventory/group_vars/all").mkdir(parents=True)
        (folder / "inventory/hosts.yml").write_text(INVENTORY)
        vault = folder / "inventory/group_vars/all/vault.yml"
        vault.write_text(json.dumps({f"vault_{name}": one for name, one in self.secrets.items()}))
        subprocess.run(
            [BIN / "ansible-vault", "encrypt", "--vault-password-file", self.password, vault],
            env=self._environment(),
            check=True,
            capture_output=True,
        )
        self.secrets["vault_password"] = self.password.read_text()
        self.pki = folder / "inventory/.pki"

    def _environment(self):
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "AWS_"))},
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.logs / "facts"),
            "ANSIBLE_DISPLAY_OK_HOSTS": "true",
            "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true",
        }

    def run(self, name, *options, playbook="site.yml", **variables):
        """At -vvv and with --diff, into a log. Returns its exit code and what it said."""
        variables |= {"facefleet_state_dir": str(self.state), "camera_port": self.camera_port}
        done = subprocess.run(
            [
                *(BIN / "ansible-playbook", ROOT / playbook, "-vvv", "--diff"),
                *("--inventory", self.folder / "inventory"),
                *("--vault-password-file", self.password),
                *("--extra-vars", json.dumps(variables), *options),
            ],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (self.logs / f"{name}.log").write_text(done.stdout)
        return done.returncode, done.stdout

    def learn_keys(self):
        """Private keys are secrets too: the second line of each."""
        paths = {*self.state.rglob("*.key"), *self.pki.rglob("*.key")}
        assert len(paths) > 4
        for path in paths:
            begin, _, second, *_ = path.read_text().splitlines()
            assert "PRIVATE KEY" in begin
            assert (path.parents[1].name == "authorities") == ("ENCRYPTED" in begin)
            self.secrets[str(path)] = second

    def look(self):
        known = self.folder / "secrets.json"
        known.write_text(json.dumps(self.secrets))
        found = find(known, "--logs", self.logs, "--state", self.state, self.pki)
        return found.returncode, found.stdout

    def stop(self):
        subprocess.run([sys.executable, ROOT / "scripts/stop.py", self.state], check=True)


def find(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts/find_secrets.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    with camera() as port:
        fleet = Fleet(tmp_path_factory.mktemp("secrets"), port)
        try:
            yield fleet
        finally:
            fleet.stop()


def test_the_secrets_of_a_run_are_in_no_log_and_in_private_files_only(fleet):
    code, said = fleet.run("dry", "--check")
    assert code == 0, said[-5000:]
    code, said = fleet.run("run")
    assert code == 0, said[-5000:]
    assert "edge-1: passed forwarder and processor" in said
    fleet.learn_keys()
    assert fleet.look() == (0, "")
    # They are there, so that there was something to find.
    state = {path: path.read_bytes() for path in fleet.state.rglob("*") if path.is_file()}
    for name in ("aws_key", "camera_password", "gallery_password"):
        assert any(fleet.secrets[name].encode() in content for content in state.values()), name


def test_nor_those_of_a_run_that_fails(fleet):
    source = "rtsp://user:{{ vault_other_password }}@127.0.0.1:1/"
    changes = {"facefleet_cameras": [{"name": "front", "source": source}]}
    edge = "playbooks/edge.yml"
    code, said = fleet.run("failed", playbook=edge, app_service_timeout=15, **changes)
    assert code != 0
    assert "The stream rtsp://127.0.0.1:1 cannot be opened" in said
    assert fleet.look() == (0, "")


@pytest.mark.parametrize(
    "path",
    [
        *sorted(ROOT.glob("roles/*/tasks/*.yml")),
        *sorted(ROOT.glob("playbooks/*.yml")),
        *sorted(ROOT.glob("playbooks/tasks/*.yml")),
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_one_switch_hides_secrets_and_no_task_has_them_in_its_environment(path):
    for task in tasks(yaml.safe_load(path.read_text())):
        if "no_log" in task:
            assert re.fullmatch(r"{{ \w+_no_log }}", str(task["no_log"])), task
        # It would be on a command line: see roles/facefleet/tasks/credentials.yml.
        assert "facefleet_aws_environment" not in str(task.get("environment", "")), task


SECRET = "pa/55 w\u00f6rd'\"s"
SPELLINGS = [
    SECRET,
    json.dumps({"password": SECRET}),
    f"rtsp://user:{quote(SECRET, safe='')}@h",
    *(
        base64.b64encode(f"{'x' * before}{SECRET}{'y' * after}".encode()).decode()
        for before in range(3)
        for after in range(3)
    ),
]


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"password": SECRET}))
    return path


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_a_secret_is_found_however_it_is_spelled(tmp_path, known, spelled):
    log = tmp_path / "log"
    log.write_text(f"first\n... {spelled} ...\n")
    found = find(known, "--logs", log)
    assert (found.returncode, found.stdout) == (1, f"{log}:2: contains the secret password\n")


@pytest.mark.parametrize(
    ("mode", "folder", "finds"), [(0o600, 0o700, 0), (0o640, 0o700, 1), (0o600, 0o755, 1)]
)
def test_a_file_of_state_has_it_where_it_is_its_owners_alone(tmp_path, known, mode, folder, finds):
    state = tmp_path / "state"
    state.mkdir(mode=folder)
    (state / "run.sh").touch(mode=mode)
    (state / "run.sh").write_text(SECRET)
    assert len(find(known, "--state", state).stdout.splitlines()) == finds
