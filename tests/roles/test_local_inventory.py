"""The cameras of `make demo`: those of SOURCE, or one's own, which git does not see."""

import shutil
import subprocess
import sys

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible.vars.manager import VariableManager

from support.role_variables import ROLES, RoleVariables

LOCAL = ROLES.parent / "inventories/local"
CAMERAS = [
    {"name": "door", "source": "/dev/video2"},
    {"name": "yard", "source": "rtsp://192.0.2.7/live"},
]


@pytest.fixture
def inventory(tmp_path):
    shutil.copytree(LOCAL, tmp_path / "local", ignore=shutil.ignore_patterns("edge-*.yml"))
    return tmp_path / "local"


def plan(inventory, host):
    """A host's cameras, and what the role facefleet says of them."""
    loader = DataLoader()
    sources = InventoryManager(loader, sources=[str(inventory)])
    manager = VariableManager(loader, sources)
    hostvars = {one.name: manager.get_vars(host=one) for one in sources.get_hosts()}
    given = {"ansible_playbook_python": sys.executable, "hostvars": hostvars}
    role = RoleVariables("facefleet").variables
    templar = Templar(loader, variables={**role, **hostvars[host], **given})
    names = ("facefleet_cameras", "facefleet_setting_problems")
    return [templar.template(trust_as_template(f"{{{{ {name} }}}}")) for name in names]


def own_cameras(inventory, host):
    path = inventory / f"host_vars/{host}.yml"
    path.write_text(yaml.safe_dump({"facefleet_cameras": CAMERAS}))
    return path


def test_source_is_the_camera_of_the_first_device(inventory, monkeypatch):
    monkeypatch.setenv("SOURCE", "/dev/video0")
    [camera], problems = plan(inventory, "edge-1")
    assert camera["source"] == "/dev/video0"
    assert problems == []
    [camera], problems = plan(inventory, "edge-2")
    assert camera["source"] == "sample:hopper"
    assert problems == []


def test_ones_own_cameras_take_the_place_of_the_sample(inventory, monkeypatch):
    monkeypatch.delenv("SOURCE", raising=False)
    own_cameras(inventory, "edge-1")
    assert plan(inventory, "edge-1") == [CAMERAS, []]


@pytest.mark.parametrize("source", ["/dev/video0", "rtsp://user:secret@192.0.2.9/"])
def test_source_beside_ones_own_cameras_is_not_ignored(inventory, monkeypatch, source):
    monkeypatch.setenv("SOURCE", source)
    own_cameras(inventory, "edge-1")
    cameras, [problem] = plan(inventory, "edge-1")
    assert cameras == CAMERAS
    assert problem.startswith(
        "SOURCE is set, but the host_vars of edge-1 define other cameras: run"
    )
    assert "secret" not in problem
    assert plan(inventory, "edge-2")[1] == []


def test_source_may_be_one_of_ones_own(inventory, monkeypatch):
    monkeypatch.setenv("SOURCE", "/dev/video2")
    own_cameras(inventory, "edge-1")
    assert plan(inventory, "edge-1") == [CAMERAS, []]


def test_git_ignores_ones_own_cameras_and_no_other_file():
    names = ["host_vars/edge-1.yml", "host_vars/edge-2.yml", "hosts.yml", "group_vars/all.yml"]
    found = subprocess.run(
        ["git", "check-ignore", "--no-index", *names],
        cwd=LOCAL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.split() == names[:2]
