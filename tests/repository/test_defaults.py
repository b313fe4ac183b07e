"""Every default of every role is met by some test, and fits its description.

It is measured from the text: a Molecule scenario, or a test of the playbooks on AWS, meets the
defaults of a role that it runs, but for the variables that any of its files sets. Roles that its
kind of hosts never runs do not count. A task that a condition skips still does, so the second test
works every default out with the example.
"""

import re

import facefleet_settings as settings
import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from facefleet.settings import DetectorSettings
from pydantic import ByteSize, TypeAdapter

from support.plans import hosts
from support.role_variables import ROLES

ROOT = ROLES.parent
NAMES = sorted(path.parents[1].name for path in ROLES.glob("*/defaults/main.yml"))

# Default to why no test runs with it.
UNUSED = {
    "facefleet_aws_environment": "tests have keys and an endpoint of their own, never AWS's",
    "facefleet_state_dir": "is that of the checkout's own fleet, which no test may touch",
    "facefleet_pki_password": "is empty, which k3s refuses; the demo alone goes without",
    # Scenarios build once, on one of their hosts, which is a builder for itself too.
    "app_image_source": "is host: each would build for itself",
    "app_image_builder": "is empty, which app_image_source: builder refuses",
}


def default_names(role):
    return yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())


ON_HOSTS = {"docker", "k3s", "app_image"}  # what no fleet of processes runs
AWS = {name for name in NAMES if name.startswith("aws_")}


def runs():
    """The roles of each run, of a scenario or a test of the playbooks, and its files' text."""
    shared = "".join(path.read_text() for path in (ROOT / "molecule/shared").rglob("*.yml"))
    for scenario in (ROOT / "molecule").glob("*/molecule.yml"):
        text = shared + "".join(path.read_text() for path in scenario.parent.rglob("*.yml"))
        # No scenario has an AWS: what it has is an S3.
        never = AWS | (ON_HOSTS if "processes" in scenario.read_text() else set())
        yield {role for role in NAMES if runs_role(text, role)} - never, text
    tests = ROOT / "tests"
    common = (tests / "playbooks/conftest.py").read_text()
    for test in tests.glob("playbooks/test_aws*.py"):
        text = common + test.read_text()
        # No host is reached: what is for one is imported, and skipped.
        yield {role for role in AWS | {"facefleet"} if runs_role(text, role)}, text


def runs_role(text, role):
    """Whether it names the role, or a playbook that does."""
    named = rf"(?:role|name): ['\"]?{role}\b|\"role\": \"{role}\""
    if re.search(named, text):
        return True
    playbooks = re.findall(r"(site|playbooks/\w+)(?:\.yml)", text)
    return any(role in played(path) for path in playbooks)


def played(playbook, seen=()):
    """The roles of a playbook, of what it imports and of the tasks in playbooks/tasks."""
    path = ROOT / f"{playbook}.yml"
    if not path.is_file():
        return set()
    text = path.read_text()
    found = set(re.findall(r"(?:role|name): (\w+)", text)) & set(NAMES)
    for part in re.findall(r"(?:import|include)_(?:playbook|tasks): (\S+)\.yml", text):
        target = str((path.parent / part).relative_to(ROOT))
        if target not in seen:
            found |= played(target, (*seen, playbook))
    return found


def sets(text, name):
    return re.search(rf"\b{name}\b[\"']?\s*[:=](?!=)", text)


def test_a_default_that_the_app_has_too_is_the_same():
    fields = DetectorSettings.model_fields
    role = default_names("facefleet")
    bound = TypeAdapter(ByteSize).validate_python(role["facefleet_outbox_max_size"])
    assert bound == fields["outbox_max_bytes"].default
    assert role["facefleet_qos"] == fields["qos"].default


def test_every_default_is_used_by_some_test():
    found = list(runs())
    unused = {
        name
        for role in NAMES
        for name in default_names(role)
        if not any(role in roles and not sets(text, name) for roles, text in found)
    }
    assert unused == set(UNUSED)


@pytest.fixture(scope="module")
def example():
    """The hosts of the example, with what an owner has to add."""
    found = hosts(ROOT / "inventories/example", facefleet_pki_password="secret")
    for host in found.values():
        host.work_out()
    return found


@pytest.mark.parametrize("role", NAMES)
def test_every_default_fits_its_description_with_the_example(example, role):
    specs, _, _ = settings.read_roles(DataLoader())
    for name in default_names(role):
        for at, host in example.items():
            value = host.value(name, role_path=str(ROLES / role))
            value, problems = settings.typed(name, value, specs[name])
            assert not problems, (at, name)
            if specs[name]["type"] == "path":
                assert not str(value).startswith("~"), (at, name)
