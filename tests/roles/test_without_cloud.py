"""A device alone needs the authority that its cloud trusts, or is refused with a sentence."""

import sys

import pytest

from support.role_variables import RoleVariables

ALONE = "The group cloud has no host"


def problems(folder, cloud=(), **settings):
    groups = {"cloud": list(cloud), "edge": ["jetson-1"]}
    variables = {
        "inventory_hostname": "jetson-1",
        "inventory_dir": str(folder),
        "group_names": ["edge"],
        "groups": groups,
        "ansible_playbook_python": sys.executable,
        "facefleet_pki_password": "secret",
        "facefleet_pki_dir": str(folder),
        "facefleet_cloud_address": "192.0.2.9",
        **settings,
    }
    variables["hostvars"] = {"jetson-1": variables, "cloud-1": {"inventory_dir": str(folder)}}
    return RoleVariables("facefleet").value("facefleet_setting_problems", **variables)


@pytest.fixture
def authority(tmp_path):
    (tmp_path / "authorities/current").mkdir(parents=True)
    return tmp_path


def test_a_device_has_its_clouds_authority(authority):
    assert problems(authority) == []


def test_without_an_authority_no_cloud_would_trust_it(tmp_path):
    (said,) = problems(tmp_path)
    assert said.startswith(
        f"{ALONE}, and {tmp_path} has no certificate authority: add the inventory"
    )
    assert problems(tmp_path, cloud=["cloud-1"]) == []


def test_without_an_address_it_would_reach_no_cloud(authority):
    (said,) = problems(authority, facefleet_cloud_address="")
    assert said.startswith(f"{ALONE}: add the inventory that has the cloud (-i), or set")
