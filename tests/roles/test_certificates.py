"""The certificates that a fleet asks for are those that its authority signs."""

import sys

import pytest

from support.role_variables import RoleVariables, plugin

GROUPS = {"cloud": ["cloud-1"], "edge": ["edge-1"]}


@pytest.mark.parametrize(("host", "group"), [("cloud-1", "cloud"), ("edge-1", "edge")])
def test_a_host_may_have_what_the_fleet_asks_for_it(host, group):
    plan = RoleVariables("facefleet").value(
        "__facefleet_plan",
        inventory_hostname=host,
        group_names=[group],
        groups=GROUPS,
        facefleet_cloud_address="192.0.2.9",
        facefleet_runtime="k3s",
        ansible_playbook_python=sys.executable,
    )
    asked = plan["certificates"]
    signs = plugin("action", "signed_certificates").names_due(host, GROUPS, False)
    assert {one["name"]: one["usage"] for one in asked} == signs
