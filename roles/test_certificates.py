"""The certificates that a fleet asks for are those that its authority signs."""

import pytest
from role_variables import RoleVariables, library

GROUPS = {"cloud": ["cloud-1"], "edge": ["edge-1"]}
FOLDERS = dict.fromkeys(("broker", "processor", "gallery", "forwarder"), "/etc/facefleet/pki")


@pytest.mark.parametrize(("host", "group"), [("cloud-1", "cloud"), ("edge-1", "edge")])
def test_a_host_may_have_what_the_fleet_asks_for_it(host, group):
    asked = RoleVariables("facefleet").value(
        f"__facefleet_certificates.{group}",
        inventory_hostname=host,
        facefleet_tls_folders=FOLDERS,
        __facefleet_broker_addresses=["DNS:broker"],
    )
    signs = library("pki", "signed_certificate", "action_plugins").names_due(host, GROUPS, False)
    assert {one["name"]: one["usage"] for one in asked} == signs
