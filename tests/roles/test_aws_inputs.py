"""What is wrong with the inputs of the AWS roles, whatever AWS has: a sentence for each.

That a role fails with it, and a playbook before it changes anything, is in
tests/playbooks/test_aws_refusals.py.
"""

import sys

import pytest

from support.role_variables import RoleVariables

FLEET = {
    "inventory_hostname": "cloud-1",
    "facefleet_bucket": "some-faces",
    "facefleet_bucket_managed": True,
    "facefleet_region": "eu-central-1",
    "facefleet_retention_days": 14,
    "facefleet_ssh_allowed_cidrs": "198.51.100.21",
    "facefleet_ssh_public_key_file": __file__,  # a file that is there
}


def problems(role, devices=None, **settings):
    """The sentences of a role in a fleet whose devices have these addresses."""
    devices = {"edge-1": "203.0.113.12"} if devices is None else devices
    given = {
        **FLEET,
        "groups": {"cloud": ["cloud-1"], "edge": list(devices)},
        "hostvars": {name: {"facefleet_broker_allowed_cidrs": at} for name, at in devices.items()},
        **settings,
    }
    return RoleVariables(role).value(f"__{role}_problems", **given)


@pytest.mark.parametrize("role", ["aws_account", "aws_storage", "aws_network", "aws_instance"])
def test_inputs_in_order_have_no_sentence(role):
    assert problems(role) == []


@pytest.mark.parametrize(
    ("role", "settings", "sentence"),
    [
        ("aws_storage", {"facefleet_bucket": "Faces"}, "Faces is not a valid bucket name: set"),
        (
            "aws_storage",
            {"facefleet_bucket": "my.faces"},
            "my.faces is not a valid bucket name: set",
        ),
        ("aws_storage", {"facefleet_bucket": "-faces"}, "-faces is not a valid bucket name: set"),
        (
            "aws_storage",
            {"facefleet_bucket": "a" * 64},
            f"{'a' * 64} is not a valid bucket name: set",
        ),
        ("aws_storage", {"facefleet_retention_days": 0}, "facefleet_retention_days is 0 and"),
        ("aws_storage", {"aws_storage_quarantine_days": 0}, "facefleet_retention_days is 14 and"),
        ("aws_account", {"facefleet_region": "mars-1"}, "facefleet_region is mars-1, which is not"),
        (
            "aws_network",
            {"facefleet_ssh_allowed_cidrs": "0.0.0.0/0"},
            "facefleet_ssh_allowed_cidrs is 0.0.0.0/0, which is the whole internet",
        ),
        (
            "aws_network",
            {"facefleet_ssh_allowed_cidrs": ""},
            "facefleet_ssh_allowed_cidrs is empty, so",
        ),
        (
            "aws_network",
            {"devices": {"edge-1": "::/0"}},
            "facefleet_broker_allowed_cidrs of edge-1 is ::/0, which is the whole internet",
        ),
        (
            "aws_network",
            {"devices": {"edge-1": "camera.example.org"}},
            "facefleet_broker_allowed_cidrs of edge-1 is camera.example.org, which is neither an",
        ),
        (
            "aws_network",
            {"devices": {"edge-1": "", "edge-2": "192.0.2.7"}},
            "facefleet_broker_allowed_cidrs is not set for edge-1: set it to",
        ),
        (
            "aws_instance",
            {"facefleet_ssh_public_key_file": "/nowhere.pub"},
            "The ssh key /nowhere.pub does not exist: create one (ssh-keygen -t",
        ),
        ("aws_instance", {"aws_instance_type": "big"}, "aws_instance_type is big, which is not"),
        ("aws_instance", {"aws_instance_type": "T3.big"}, "aws_instance_type is T3.big, which is"),
    ],
)
def test_wrong_input_has_a_sentence(role, settings, sentence):
    (said,) = problems(role, **settings)
    assert said.startswith(sentence)


@pytest.mark.parametrize(
    ("role", "settings"),
    [
        ("aws_storage", {"facefleet_bucket": "my.faces", "facefleet_bucket_managed": False}),
        ("aws_network", {"facefleet_ssh_allowed_cidrs": "anywhere"}),
        ("aws_network", {"devices": {"edge-1": "anywhere"}}),
        ("aws_network", {"devices": {"edge-1": ["2001:db8::/64", "203.0.113.11"]}}),
        ("aws_account", {"facefleet_region": "us-gov-west-1"}),
        ("aws_instance", {"aws_instance_type": "m7gd.metal-24xl"}),
    ],
)
def test_unusual_input_that_aws_takes_has_no_sentence(role, settings):
    assert problems(role, **settings) == []


KEYS = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SECRET_ACCESS_KEY": "theirs"}
STRONGER = (  # than facefleet_aws_environment, and so a way out of it
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
)


@pytest.fixture
def shell(monkeypatch):
    """Set the variables of AWS that the shell has, by name."""
    for name in (*KEYS, *STRONGER):
        monkeypatch.delenv(name, raising=False)
    return lambda **variables: [monkeypatch.setenv(*item) for item in variables.items()]


def problems_of_the_shell(runtime, environment):
    variables = {
        "inventory_hostname": "cloud-1",
        "inventory_dir": "/inventory",
        "group_names": ["cloud"],
        "groups": {"cloud": ["cloud-1"]},
        "ansible_playbook_python": sys.executable,
        "facefleet_runtime": runtime,
        "facefleet_pki_password": "secret",
        "facefleet_s3_endpoint": "http://127.0.0.1:9000",
        "facefleet_aws_environment": environment,
    }
    variables["hostvars"] = {"cloud-1": variables}
    said = RoleVariables("facefleet").value("facefleet_setting_problems", **variables)
    return [sentence for sentence in said if sentence.startswith("The environment variable ")]


@pytest.mark.parametrize("name", STRONGER)
def test_shell_that_could_lead_local_processes_to_aws_is_refused(shell, name):
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}
    assert problems_of_the_shell("process", environment) == []
    shell(**{name: "true"})
    (said,) = problems_of_the_shell("process", environment)
    assert said.startswith(f"The environment variable {name} could direct this run to AWS: unset")
    assert problems_of_the_shell("process", {**environment, name: "ours"}) == []


def test_keys_of_the_shell_beside_those_of_the_inventory_are_refused(shell):
    shell(AWS_ACCESS_KEY_ID="of-another")
    (said,) = problems_of_the_shell("k3s", KEYS)
    assert said.startswith("The environment variable AWS_ACCESS_KEY_ID is set, and facefleet_aws")
    assert problems_of_the_shell("k3s", {}) == []  # those of the shell are the fleet's
    shell(**KEYS)
    assert problems_of_the_shell("k3s", KEYS) == []
