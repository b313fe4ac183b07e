"""Addresses as an inventory has them, as the networks and rules that a security group takes."""

import ipaddress
import re

ANYWHERE = "anywhere"
CONTROLLER = "ssh from the controller"
DEVICES = "the broker from the devices"


def networks(addresses):
    """Addresses, networks and `anywhere` as CIDR, sorted, each once."""
    found = set()
    for address in _listed(addresses):
        if address == ANYWHERE:
            found |= {"0.0.0.0/0", "::/0"}
        else:
            found.add(str(ipaddress.ip_network(address)))
    return sorted(found)


def network_problem(addresses):
    """What is wrong with the first wrong one, as `is ...` goes on; empty where all are right."""
    for address in _listed(addresses):
        if address == ANYWHERE:
            continue
        try:
            network = ipaddress.ip_network(address)
        except ValueError:
            return (
                f"{address}, which is neither an address (192.0.2.7) nor a network (192.0.2.0/24)"
            )
        if network.prefixlen == 0:
            return f"{address}, which is all of the internet: write {ANYWHERE}, if that is meant"
    return ""


def device_network_problems(sources):
    """A sentence for each device, of device to addresses, with a wrong one."""
    problems = {device: network_problem(each) for device, each in sources.items() if each}
    return [
        f"facefleet_public_address of {device} is {problem}."
        for device, problem in problems.items()
        if problem
    ]


def ingress(sources, port, purpose, inventory):
    """A rule of a security group. Its description says which inventory made it."""
    found = networks(sources)
    return {
        "proto": "tcp",
        "ports": [str(port)],
        "cidr_ip": [network for network in found if ":" not in network],
        "cidr_ipv6": [network for network in found if ":" in network],
        "rule_desc": f"{purpose} of {_label(inventory)}",
    }


def broker_ingress(sources, port, inventories):
    """`sources` and `inventories`: by device. A rule for each inventory that has devices."""
    by_inventory = {}
    for device, addresses in sources.items():
        by_inventory.setdefault(_label(inventories[device]), []).extend(_listed(addresses))
    return [
        ingress(addresses, port, DEVICES, inventory)
        for inventory, addresses in sorted(by_inventory.items())
    ]


def others_ingress(group, inventories):
    """The rules of a group, as ec2_security_group_info has it, that other inventories made."""
    ours = {_label(inventory) for inventory in inventories}
    others = {}
    for proto, ports, source, description in _rules(group):
        made = re.fullmatch(rf"({CONTROLLER}|{DEVICES}) of (\S+)", description)
        if made and made[2] not in ours and proto == "tcp":
            others.setdefault((ports, *made.groups()), []).append(source)
    return [
        ingress(sources, ports, purpose, inventory)
        for (ports, purpose, inventory), sources in others.items()
    ]


def with_others(rules, others):
    """All rules that a group is to have. A source has one rule, which stays its first maker's."""
    taken = {(rule["ports"][0], source) for rule in others for source in _sources(rule)}
    return [
        {
            **rule,
            **{
                kind: [source for source in rule[kind] if (rule["ports"][0], source) not in taken]
                for kind in ("cidr_ip", "cidr_ipv6")
            },
        }
        for rule in rules
    ] + others


def foreign_ingress(group, rules):
    """The rules of a group that are not among `rules`, as `tcp 8080 from 192.0.2.7/32`."""
    known = {("tcp", rule["ports"][0], source) for rule in rules for source in _sources(rule)}
    return [
        f"{'all' if proto == '-1' else proto} {ports} from {source}"
        for proto, ports, source, _ in _rules(group)
        if (proto, ports, source) not in known
    ]


def _label(inventory):
    """The name of an inventory's folder, in the characters that AWS takes."""
    return re.sub(r"[^\w.-]", "_", str(inventory or "").rstrip("/").rpartition("/")[2], flags=re.A)


def _sources(rule):
    return rule["cidr_ip"] + rule["cidr_ipv6"]


def _rules(group):
    """Protocol, ports, source and description of each of a group's rules."""
    kinds = {
        "ip_ranges": "cidr_ip",
        "ipv6_ranges": "cidr_ipv6",
        "user_id_group_pairs": "group_id",
        "prefix_list_ids": "prefix_list_id",
    }
    for rule in group.get("ip_permissions", []):
        ports = [str(rule.get(key, "all")) for key in ("from_port", "to_port")]
        for kind, key in kinds.items():
            for source in rule.get(kind, []):
                yield (
                    rule["ip_protocol"],
                    "-".join(dict.fromkeys(ports)),
                    source[key],
                    source.get("description") or "",
                )


def _listed(addresses):
    """One or a list of them, as text."""
    many = addresses if isinstance(addresses, (list, tuple)) else [addresses]
    return [str(address).strip() for address in many]


class FilterModule:
    def filters(self):
        return {
            "broker_ingress": broker_ingress,
            "device_network_problems": device_network_problems,
            "foreign_ingress": foreign_ingress,
            "network_problem": network_problem,
            "others_ingress": others_ingress,
            "ssh_ingress": lambda sources, inventory: ingress(sources, 22, CONTROLLER, inventory),
            "with_others": with_others,
        }
