"""Convert addresses of an inventory to networks and rules of a security group."""

import ipaddress
import re

ANYWHERE = "anywhere"
CONTROLLER = "ssh from the controller"
DEVICES = "the broker from the devices"


def networks(addresses):
    """Convert addresses, networks and `anywhere` to CIDR, sorted and without duplicates."""
    found = set()
    for address in _listed(addresses):
        if address == ANYWHERE:
            found |= {"0.0.0.0/0", "::/0"}
        else:
            found.add(str(ipaddress.ip_network(address)))
    return sorted(found)


def network_problem(addresses):
    """Describe the first invalid address, as the rest of a sentence; empty if all are valid."""
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
            return f"{address}, which is the whole internet: if that is intended, use {ANYWHERE}"
    return ""


def device_network_problems(sources):
    """Return a sentence for each device with an invalid address; `sources`: by device."""
    problems = {device: network_problem(each) for device, each in sources.items() if each}
    return [
        f"facefleet_broker_allowed_cidrs of {device} is {problem}."
        for device, problem in problems.items()
        if problem
    ]


def ingress(sources, port, purpose, inventory):
    """Return a rule of a security group. Its description names the inventory that created it."""
    found = networks(sources)
    return {
        "proto": "tcp",
        "ports": [str(port)],
        "cidr_ip": [network for network in found if ":" not in network],
        "cidr_ipv6": [network for network in found if ":" in network],
        "rule_desc": f"{purpose} of {_label(inventory)}",
    }


def broker_ingress(sources, port, inventories):
    """Return a rule for each inventory with devices. `sources` and `inventories`: by device."""
    by_inventory = {}
    for device, addresses in sources.items():
        by_inventory.setdefault(_label(inventories[device]), []).extend(_listed(addresses))
    return [
        ingress(addresses, port, DEVICES, inventory)
        for inventory, addresses in sorted(by_inventory.items())
    ]


def others_ingress(group, inventories):
    """Return the rules of a group, from ec2_security_group_info, that other inventories created."""
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
    """Return all desired rules of a group. A source with a rule of another inventory keeps it."""
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
    """Return the rules of a group not among `rules`, such as `tcp 8080 from 192.0.2.7/32`."""
    known = {("tcp", rule["ports"][0], source) for rule in rules for source in _sources(rule)}
    return [
        f"{'all' if proto == '-1' else proto} {ports} from {source}"
        for proto, ports, source, _ in _rules(group)
        if (proto, ports, source) not in known
    ]


def _label(inventory):
    """Return the name of an inventory's folder in characters that AWS accepts."""
    return re.sub(r"[^\w.-]", "_", str(inventory or "").rstrip("/").rpartition("/")[2], flags=re.A)


def _sources(rule):
    return rule["cidr_ip"] + rule["cidr_ipv6"]


def _rules(group):
    """Yield protocol, ports, source and description of each of a group's rules."""
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
    """Return a list of texts from one address or several."""
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
