"""Which role reads which other one's variables: held as import-linter holds the app's layers."""

import re
from graphlib import TopologicalSorter

import pytest

from support.role_variables import ROLES

NAMES = sorted(path.parents[1].name for path in ROLES.glob("*/meta/argument_specs.yml"))
PARTS = ("defaults", "handlers", "tasks", "templates", "vars")
# Every role has defaults by the settings of the fleet. Beside that:
READS = {
    "app_image": {"k3s"},  # where k3s has its images
    "app_service": {"app_image"},  # the tag of the images
    "aws_instance": {"aws_network"},  # where the VM is made
    "facefleet": {"k3s"},  # where k3s has its volumes, and its networks
}
# k3s has defaults by the settings of the fleet, and these need what the inventory says of k3s.
MUTUAL = {"k3s_config", "k3s_server"}


def text_of(folder):
    """What a role's files say, without comments."""
    paths = [path for part in PARTS for path in (folder / part).rglob("*") if path.is_file()]
    return "\n".join(
        re.sub(r"(^|\s)#.*", "", line) for path in paths for line in path.read_text().splitlines()
    )


def mentioned(text, role):
    """The variables of a role that a text mentions."""
    longer = "|".join(name.removeprefix(role) for name in NAMES if name.startswith(f"{role}_"))
    apart = f"(?!{longer})" if longer else ""
    return set(re.findall(rf"(?<![\w/.-])(?:__)?{role}{apart}_[a-z]\w*", text))


def reads(role):
    """Other role to its variables that a role mentions."""
    text = text_of(ROLES / role)
    found = {other: mentioned(text, other) for other in NAMES if other != role}
    return {other: names for other, names in found.items() if names}


@pytest.mark.parametrize("role", NAMES)
def test_a_role_reads_the_fleets_settings_and_no_more_than_is_named_here(role):
    allowed = READS.get(role, set()) | {"facefleet"}
    assert set(reads(role)) - {role} <= allowed


def test_what_is_named_here_is_read():
    for role, others in READS.items():
        assert others <= set(reads(role))


def test_no_role_reads_in_a_circle():
    graph = {role: set(reads(role)) for role in NAMES}
    assert reads("facefleet")["k3s"] == MUTUAL
    graph["facefleet"].discard("k3s")
    assert len(list(TopologicalSorter(graph).static_order())) == len(NAMES)


@pytest.mark.parametrize("role", NAMES)
def test_no_private_variable_is_read_elsewhere(role):
    playbooks = [ROLES.parent / "site.yml", *(ROLES.parent / "playbooks").glob("*.yml")]
    playbooks += (ROLES.parent / "playbooks/tasks").glob("*.yml")
    texts = {path.name: path.read_text() for path in playbooks}
    texts |= {other: text_of(ROLES / other) for other in NAMES if other != role}
    for where, text in texts.items():
        assert [name for name in mentioned(text, role) if name.startswith("__")] == [], where
