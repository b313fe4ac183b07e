"""Addresses of an inventory, as networks."""

import networks as plugin
import pytest


def test_addresses_and_networks_are_told_once_each():
    given = ["192.0.2.7", "2001:db8::/64", "192.0.2.7/32", " 198.51.100.0/24"]
    assert plugin.networks(given) == ["192.0.2.7/32", "198.51.100.0/24", "2001:db8::/64"]
    assert plugin.networks("192.0.2.7") == ["192.0.2.7/32"]


def test_anywhere_is_taken_by_its_name_alone():
    assert plugin.networks("anywhere") == ["0.0.0.0/0", "::/0"]
    assert plugin.network_problem("anywhere") == ""
    assert "use anywhere" in plugin.network_problem(["192.0.2.7", "0.0.0.0/0"])


@pytest.mark.parametrize("bad", ["camera.example.org", "192.0.2.7/24", "192.0.2.256", ""])
def test_what_is_no_network_has_a_sentence(bad):
    assert plugin.network_problem(bad).startswith(f"{bad}, which is neither an address")


def group(*rules):
    """As ec2_security_group_info returns it: of (port, source, description)."""
    return {
        "ip_permissions": [
            {
                "ip_protocol": "tcp",
                "from_port": port,
                "to_port": port,
                "ip_ranges": [] if ":" in source else [{"cidr_ip": source, "description": text}],
                "ipv6_ranges": [{"cidr_ipv6": source, "description": text}]
                if ":" in source
                else [],
                "user_id_group_pairs": [],
                "prefix_list_ids": [],
            }
            for port, source, text in rules
        ]
    }


OF_B = (31883, "203.0.113.2/32", "the broker from the devices of site-b")
SSH_OF_B = (22, "198.51.100.2/32", "ssh from the controller of site-b")
DEVICES = {"edge-1": "203.0.113.1", "edge-2": ["2001:db8::/64"]}
FOLDERS = dict.fromkeys(DEVICES, "/srv/fleet/site-a")


def shown(rules):
    return [
        f"tcp {rule['ports'][0]} from {source} ({rule['rule_desc']})"
        for rule in rules
        for source in rule["cidr_ip"] + rule["cidr_ipv6"]
    ]


def rules_beside(*present):
    """The rules that site-a leaves where `present` are there, and what it finds foreign."""
    there = group(*present)
    ours = plugin.broker_ingress(DEVICES, 31883, FOLDERS)
    rules = plugin.with_others(ours, plugin.others_ingress(there, ["/srv/fleet/site-a"]))
    return shown(rules), plugin.foreign_ingress(there, rules)


OURS = [
    f"tcp 31883 from {source} (the broker from the devices of site-a)"
    for source in ("203.0.113.1/32", "2001:db8::/64")
]


def test_rules_of_another_inventory_stay():
    rules, foreign = rules_beside(OF_B, SSH_OF_B)
    assert rules == [
        *OURS,
        "tcp 31883 from 203.0.113.2/32 (the broker from the devices of site-b)",
        "tcp 22 from 198.51.100.2/32 (ssh from the controller of site-b)",
    ]
    assert foreign == []


@pytest.mark.parametrize(
    "stray",
    [
        (8080, "0.0.0.0/0", ""),
        (31883, "203.0.113.9/32", "the broker from the devices of site-a"),
        (22, "198.51.100.9/32", "the broker from the devices"),
        (8080, "::/0", "by me"),
    ],
)
def test_what_no_inventory_has_is_removed(stray):
    rules, foreign = rules_beside(stray)
    assert rules == OURS
    assert foreign == [f"tcp {stray[0]} from {stray[1]}"]


def test_a_source_that_two_inventories_share_has_one_rule():
    shared = (31883, "203.0.113.1/32", "the broker from the devices of site-b")
    rules, foreign = rules_beside(shared)
    assert rules == [OURS[1], OURS[0].replace("site-a", "site-b")]
    assert foreign == []


def test_each_inventory_of_a_run_has_rules_of_its_own():
    folders = {"edge-1": "/srv/fleet/site-a", "edge-2": "/srv/fleet/my sites/b(1)/"}
    rules = plugin.broker_ingress(DEVICES, 31883, folders)
    assert [rule["rule_desc"].rpartition(" of ")[2] for rule in rules] == ["b_1_", "site-a"]
    assert [rule["cidr_ip"] for rule in rules] == [[], ["203.0.113.1/32"]]


def test_each_device_with_a_wrong_address_has_a_sentence():
    said = plugin.device_network_problems(
        {"jetson-1": "192.0.2.7", "jetson-2": ["192.0.2.7/24"], "jetson-3": ""}
    )
    assert len(said) == 1
    assert said[0].startswith("facefleet_broker_allowed_cidrs of jetson-2 is 192.0.2.7/24, ")
