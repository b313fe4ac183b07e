"""Molecule's scenarios: what changes a host has hosts of its own, never this machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.role_variables import RoleVariables

ROOT = Path(__file__).parents[2]
BASE_PATH = ROOT / ".config/molecule/config.yml"
BASE = yaml.safe_load(BASE_PATH.read_text())
SCENARIOS = sorted((ROOT / "molecule").glob("*/molecule.yml"))
CHANGE_HOSTS = {"app_image", "docker", "fleet", "k3s"}
HOST_SCENARIOS = [path for path in SCENARIOS if path.parent.name in CHANGE_HOSTS]


def name(path):
    return path.parent.name


def read(path):
    return yaml.safe_load(path.read_text()) or {}


def groups(scenario):
    """The groups that decide how a platform is reached, of each platform."""
    platforms = scenario.get("platforms", BASE["platforms"])
    return {p["name"]: {"machines", "processes"} & set(p["groups"]) for p in platforms}


@pytest.mark.parametrize("path", SCENARIOS, ids=name)
def test_a_scenario_that_changes_hosts_has_hosts_of_its_own(path):
    kind = "machines" if name(path) in CHANGE_HOSTS else "processes"
    assert set(map(frozenset, groups(read(path)).values())) == {frozenset({kind})}


@pytest.mark.parametrize("path", HOST_SCENARIOS, ids=name)
def test_a_scenario_on_hosts_makes_them_first_and_connects_by_ssh_without_a_base(path):
    scenario = read(path)
    assert scenario["scenario"]["test_sequence"][:2] == ["destroy", "create"]
    for step in ("create", "destroy"):
        assert (path.parent / scenario["ansible"]["playbooks"][step]).is_file()
    inventory = scenario["provisioner"]["inventory"]
    assert inventory["group_vars"]["machines"]["ansible_connection"] == "ssh"
    for host in groups(scenario):
        assert "ansible_host" in inventory["host_vars"][host]
        assert "ansible_connection" not in inventory["host_vars"][host]


def test_only_processes_run_on_this_machine():
    inventories = [BASE, *map(read, SCENARIOS)]
    local = {
        group
        for config in inventories
        for kind in ("group_vars", "host_vars")
        for group, variables in (
            config.get("provisioner", {}).get("inventory", {}).get(kind, {}).items()
        )
        if variables.get("ansible_connection") == "local"
    }
    assert local == {"processes"}


@pytest.mark.parametrize("role", sorted(CHANGE_HOSTS - {"fleet"}))
def test_a_role_that_changes_its_host_refuses_this_machine_in_a_scenario(role, monkeypatch):
    def problems(connection):
        variables = {"ansible_connection": connection, f"__{role}_checks": []}
        return RoleVariables(role).value(f"__{role}_problems", **variables)

    monkeypatch.setenv("MOLECULE_FILE", "molecule.yml")
    assert problems("local") == [
        "The scenario would change this machine itself: remove ansible_connection from its "
        "inventory."
    ]
    assert problems("ssh") == []
    monkeypatch.delenv("MOLECULE_FILE")
    assert problems("local") == []


@pytest.mark.parametrize("variable", ["k3s_version", "k3s_download_url", "app_image_base"])
def test_without_a_test_bed_hosts_have_the_defaults_of_the_roles(variable):
    of_the_base = BASE["provisioner"]["inventory"]["group_vars"]["machines"][variable]
    role = variable.rpartition("_")[0].removesuffix("_download")
    default = read(ROOT / f"roles/{role}/defaults/main.yml")[variable]
    assert re.fullmatch(rf"\$\{{{variable.upper()}:-(.*)\}}", of_the_base)[1] == default


def test_the_upgraded_release_of_k3s_is_the_default():
    machines = read(ROOT / "molecule/k3s/molecule.yml")["provisioner"]["inventory"]["group_vars"]
    default = read(ROOT / "roles/k3s/defaults/main.yml")["k3s_version"]
    assert machines["machines"]["k3s_next_version"] == f"${{K3S_NEXT_VERSION:-{default}}}"


@pytest.fixture
def molecule(tmp_path):
    """Run Molecule as a user does, where Docker does not answer; returns its output."""

    def run(*arguments):
        done = subprocess.run(
            [Path(sys.executable).with_name("molecule"), *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "DOCKER_HOST": f"unix://{tmp_path}/docker.sock",
                "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "scenario"),
                "MOLECULE_COMMAND_BORDERS": "false",
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        told = re.sub(r"\s+", " ", done.stdout + done.stderr)
        assert done.returncode != 0
        assert "Nothing was changed." in told
        assert "changed=0" in told
        assert not re.search("changed=[1-9]", told)
        assert not (tmp_path / "scenario-state").exists()
        return told

    return run


def test_without_docker_a_scenario_says_so_and_changes_nothing(molecule):
    told = molecule("create", "-s", "docker")
    assert "Docker does not answer: start it" in told


def test_without_the_base_a_scenario_says_so_and_changes_nothing(molecule, tmp_path):
    base = tmp_path / "base.yml"
    base.write_text("{prerun: false, dependency: {enabled: false}}\n")
    told = molecule("--base-config", str(base), "create", "-s", "docker")
    assert "Molecule did not read .config/molecule/config.yml" in told


def test_a_scenario_on_hosts_refuses_this_machine(molecule):
    local = ["--", "-e", "ansible_connection=local"]
    told = molecule("test", "-s", "docker", "--destroy=never", *local)
    assert "The scenario would change this machine itself" in told
