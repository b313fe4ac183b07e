"""Before any change, every playbook checks the settings, and each role a host, once in a run."""

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from support.playbook_tasks import tasks
from support.role_variables import ROLES

PLAYBOOKS = sorted((ROLES.parent / "playbooks").rglob("*.yml"))
PRESENT = sorted(path.parents[1] for path in ROLES.glob("*/tasks/present.yml"))
ON_HOSTS = ["docker", "k3s", "pki"]


def file_tasks(path):
    return list(tasks(yaml.safe_load(path.read_text())))


def imported(path):
    """The task files that a file imports or includes."""
    found = []
    for task in file_tasks(path):
        for kind in ("import_tasks", "include_tasks"):
            if name := task.get(f"ansible.builtin.{kind}"):
                found.append(name)
    return found


@pytest.mark.parametrize("role", PRESENT, ids=lambda role: role.name)
def test_a_role_used_alone_fails_with_all_problems_before_it_changes_anything(role):
    assert imported(role / "tasks/main.yml")[-2:] == ["preflight.yml", "present.yml"]
    *_, fail, _present = file_tasks(role / "tasks/main.yml")
    assert fail["ansible.builtin.fail"]["msg"] == f"{{{{ {role.name}_problems }}}}"
    assert fail["when"] == f"{role.name}_problems | length > 0"


@pytest.mark.parametrize("role", ON_HOSTS)
def test_a_playbook_checks_a_host_unless_a_preflight_of_the_run_has(role):
    """app_image alone is checked again: playbooks/tasks/runtime.yml says why."""
    chosen = [
        include["tasks_from"]
        for path in PLAYBOOKS
        for task in file_tasks(path)
        if (include := task.get("ansible.builtin.include_role")) and include["name"] == role
        if include.get("tasks_from", "main")
        not in ("certificate", "certificates", "revoke", "rotate")
    ]
    assert chosen
    for expression in map(trust_as_template, chosen):
        for recorded, part in ((None, "main"), ([], "present"), (["A problem."], "main")):
            variables = {} if recorded is None else {f"{role}_problems": recorded}
            assert Templar(DataLoader(), variables=variables).template(expression) == part


def test_every_role_that_changes_hosts_is_known_here():
    on_hosts = {role.name for role in PRESENT if not role.name.startswith("aws_")}
    assert on_hosts == set(ON_HOSTS)


@pytest.mark.parametrize("path", sorted(PLAYBOOKS[0].parent.glob("*.yml")))
def test_every_playbook_checks_the_settings_first(path):
    first = yaml.safe_load(path.read_text())[0]
    starts = {"settings.yml": "Check the groups", "site.yml": "preflight.yml"}
    expected = starts.get(path.name, "settings.yml")
    assert first.get("ansible.builtin.import_playbook", first["name"]) == expected
