"""Hosts that are forgotten, and those that share what each needs for itself."""

import inventory
import pytest

GROUPS = {"cloud": ["cloud-1"], "edge": ["jetson-1"]}


def host(name, *groups, **variables):
    return {"inventory_hostname": name, "group_names": list(groups), **variables}


def hosts(*more, cloud=None, edge=None):
    all_of_them = [
        host("cloud-1", "cloud", ansible_host="192.0.2.9", **(cloud or {})),
        host("jetson-1", "edge", ansible_host="192.0.2.11", **(edge or {})),
        *more,
    ]
    return {each["inventory_hostname"]: each for each in all_of_them}


MISPLACED = "The host is in no group that facefleet knows: add it to cloud or edge (hosts.yml)."


@pytest.mark.parametrize(
    "other",
    [
        host("jetson-2", "ungrouped"),
        host("jetson-2", "edges"),
        host("jetson-2", "site", "Edge"),
        host("jetson-2", "clouds"),
        host("jetson-2", "jetsons", facefleet_cameras=[{"name": "door"}]),
    ],
)
def test_a_host_that_would_be_left_out_is_named(other):
    said = inventory.misplaced_hosts(hosts(other), GROUPS, ["cloud-1", "jetson-1", "jetson-2"])
    assert said == {"jetson-2": [MISPLACED]}
    assert inventory.misplaced_hosts(hosts(other), GROUPS, ["cloud-1", "jetson-1"]) == {}


def test_all_of_them_have_one_sentence():
    named = {name: host(name, "edges") for name in ("jetson-1", "jetson-2")}
    said = inventory.misplaced_hosts(named, {"edges": list(named)}, list(named))
    assert said == {"jetson-1": [MISPLACED], "jetson-2": [MISPLACED]}


@pytest.mark.parametrize(
    "other",
    [
        host("web-1", "webservers"),
        host("hall-1", "hall", k3s_server="jetson-1"),
        host("builder-1", "ungrouped"),
        host("localhost", "ungrouped"),
    ],
)
def test_an_inventory_may_have_other_hosts(other):
    known = hosts(other, edge={"app_image_builder": "builder-1"})
    assert inventory.misplaced_hosts(known, GROUPS, list(known)) == {}


TWO = {"cloud": ["cloud-1"], "edge": ["jetson-1", "jetson-2"]}
SAME = "jetson-1 and jetson-2 have the same address, 192.0.2.11: set ansible_host of each to its"


@pytest.mark.parametrize(
    "other",
    [
        {"ansible_host": "192.0.2.11"},
        {"ansible_host": "192.0.2.11", "ansible_port": "22", "ansible_connection": "ssh"},
    ],
)
def test_hosts_of_the_same_address_are_named(other):
    known = hosts(host("jetson-2", "edge", **other))
    found = inventory.inventory_problems(known, TWO, list(known))
    assert set(found) == {"jetson-1", "jetson-2"}
    assert [said[0].startswith(SAME) for said in found.values()] == [True, True]
    # Of two, one that is run alone would replace the other's services.
    assert set(inventory.inventory_problems(known, TWO, ["jetson-2"])) == {"jetson-2"}
    assert inventory.inventory_problems(known, TWO, ["cloud-1"]) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"ansible_host": "192.0.2.12"},
        {"ansible_host": "192.0.2.11", "ansible_port": 2222},
        {"ansible_host": "192.0.2.11", "ansible_connection": "local"},
        {"ansible_host": "192.0.2.11", "ansible_ssh_common_args": "-J bastion-2"},
        {},
    ],
)
def test_hosts_of_other_machines_are_not_refused(other):
    known = hosts(host("jetson-2", "edge", **other))
    assert inventory.inventory_problems(known, TWO, list(known)) == {}


def test_local_hosts_share_their_machine():
    known = {name: host(name, ansible_connection="local") for name in ("cloud-1", "jetson-1")}
    assert inventory.inventory_problems(known, GROUPS, list(known)) == {}


def test_a_host_is_no_cloud_and_device_at_once():
    """It would have a device's services alone."""
    known = hosts()
    both = {"cloud": ["cloud-1"], "edge": ["cloud-1", "jetson-1"]}
    said = inventory.inventory_problems(known, both, list(known))
    sentence = "This host is in both groups, cloud and edge: remove it from one of them."
    assert said == {"cloud-1": [sentence]}
    assert inventory.inventory_problems(known, both, ["jetson-1"]) == {}


def test_a_whole_fleet_has_devices():
    known = hosts()
    said = inventory.inventory_problems(known, {"cloud": ["cloud-1"], "edge": []}, known, True)
    assert said["cloud-1"][0].startswith("The group edge has no hosts: add the devices to it")
    assert inventory.inventory_problems(known, {"cloud": ["cloud-1"]}, known, False) == {}
    assert inventory.inventory_problems(known, {"edge": ["jetson-1"]}, known, True) == {}


SERVICES = {
    "broker": {"command": [], "ready_url": "tcp://127.0.0.1:31900", "port_variable": "first"},
    "broker-address": {"ready_url": "tcp://127.0.0.1:31900"},
    "gallery": {"command": [], "ready_url": "http://[::1]:8088/readyz", "port_variable": "gallery"},
}


def test_the_ports_are_those_of_what_runs():
    assert inventory.process_ports(SERVICES) == [
        {"port": 31900, "variable": "first", "service": "broker"},
        {"port": 8088, "variable": "gallery", "service": "gallery"},
    ]


def with_ports(name, *ports, **variables):
    found = [{"port": port, "variable": "first", "service": f"s{port}"} for port in ports]
    return host(name, facefleet_ports=found, **variables)


def test_hosts_of_one_machine_do_not_share_a_port():
    local = {"ansible_connection": "local"}
    known = {
        "a": with_ports("a", 1, 2, 3, **local),
        "b": with_ports("b", 2, 3, 4, **local),
        "c": with_ports("c", 3, 5, 5, ansible_host="192.0.2.1"),
        "d": host("d", **local),
    }
    known["c"]["facefleet_ports"][2]["variable"] = "gallery"
    found = {name: inventory.shared_ports(known, name, list(known)) for name in known}
    one = "a (first) and b (first) have the same ports: 2, 3. Give each its own ports."
    two = "c (first) and c (gallery) have the same ports: 5. Give each its own ports."
    assert found == {"a": [one], "b": [one], "c": [two], "d": []}
