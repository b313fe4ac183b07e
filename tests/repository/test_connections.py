"""Tasks do the same over every connection, and as an ordinary user with sudo."""

import ast
from pathlib import Path

import pytest
import yaml

from support.playbook_tasks import NESTED, tasks

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for folder in ("roles", "playbooks", "molecule", "tests")
    for path in sorted((ROOT / folder).rglob("*.yml"))
    if isinstance(yaml.safe_load(path.read_text()), list)
]
MODULES = [
    *(ROOT / "plugins/modules").glob("*.py"),
    *(ROOT / "plugins/module_utils").glob("*.py"),
]


def test_no_task_hands_a_host_a_terminal():
    """Over ssh these have one, and what goes to stderr comes back among the output.

    A host without Python is for the module reach_host.
    """
    found = {
        (str(path.relative_to(ROOT)), module)
        for path in FILES
        for task in tasks(yaml.safe_load(path.read_text()))
        for module in ("script", "raw")
        if module in task or f"ansible.builtin.{module}" in task
    }
    assert found == set()


def delegated(node, become):
    """(name, become) of each task for the controller in a play that may use sudo on its hosts."""
    if isinstance(node, list):
        for item in node:
            yield from delegated(item, become)
    elif isinstance(node, dict):
        become = node.get("become", (node.get("vars") or {}).get("ansible_become", become))
        if node.get("delegate_to") == "localhost":
            yield node.get("name"), become
        for key in NESTED:
            yield from delegated(node.get(key), become)


def plays(path):
    """What a file says of privileges before a task does: its play's, or its includer's."""
    for node in yaml.safe_load(path.read_text()):
        if "hosts" in node:
            yield node, node.get("become", False)
        else:
            yield node, "as the play has it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_controller_does_it_does_as_the_user_who_runs_ansible(path):
    for node, become in plays(path):
        for name, sudo in delegated(node, become):
            assert sudo is False, name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_can_be_read_by_the_python_of_the_oldest_host(path):
    """JetPack 5 has 3.8."""
    ast.parse(path.read_text(), feature_version=(3, 8))


def test_nothing_is_done_as_root_on_the_controller():
    """Nor on the host that builds images, where that is the controller."""
    seen = 0
    for path in sorted((ROOT / "roles").rglob("tasks/*.yml")):
        for task in tasks(yaml.safe_load(path.read_text())):
            host = str(task.get("delegate_to"))
            if "__app_image_build_host" in host:
                seen += 1
                builds = task.get("become") == "{{ __app_image_builder_become }}"
                assert builds or task["vars"]["ansible_become"] is False, (path, task["name"])
            elif host == "localhost":
                seen += 1
                as_user = task.get("become") is False
                assert as_user or task["vars"]["ansible_become"] is False, (path, task["name"])
    assert seen > 10
