"""Molecule's scenarios: what changes a host has hosts of its own, never this machine."""

from pathlib import Path

import pytest
import yaml
from role_variables import RoleVariables

ROOT = Path(__file__).parents[1]
BASE = yaml.safe_load((ROOT / ".config/molecule/config.yml").read_text())
SCENARIOS = sorted((ROOT / "molecule").glob("*/molecule.yml"))
CHANGE_HOSTS = {"app_image", "docker", "fleet", "k3s"}


def read(path):
    return yaml.safe_load(path.read_text()) or {}


def groups(scenario):
    """The groups that decide how a platform is reached, of each platform."""
    platforms = scenario.get("platforms", BASE["platforms"])
    return {p["name"]: {"machines", "processes"} & set(p["groups"]) for p in platforms}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.parent.name)
def test_a_scenario_that_changes_hosts_has_hosts_of_its_own(path):
    kind = "machines" if path.parent.name in CHANGE_HOSTS else "processes"
    assert set(map(frozenset, groups(read(path)).values())) == {frozenset({kind})}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.parent.name)
def test_a_scenario_on_hosts_makes_them_first_and_reaches_each_by_its_address(path):
    if path.parent.name not in CHANGE_HOSTS:
        assert "create" not in BASE["scenario"]["test_sequence"]
        return
    scenario = read(path)
    assert scenario["scenario"]["test_sequence"][:2] == ["destroy", "create"]
    for name in groups(scenario):
        assert "ansible_host" in scenario["provisioner"]["inventory"]["host_vars"][name]


def test_only_processes_run_on_this_machine():
    """Whoever runs Molecule with no more than a scenario's name gets this base."""
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
    monkeypatch.setenv("MOLECULE_FILE", "molecule.yml")
    guard = RoleVariables(role).value(f"__{role}_checks[0]", ansible_connection="local")
    assert guard["bad"] is True
    assert "would change this machine itself" in guard["say"]
