"""Rules about the hosts of an inventory as a whole: their groups, addresses and ports.

`hostvars` and `groups` are Ansible's own: host to variables, and group to hosts.
"""

import difflib
from urllib.parse import urlsplit

FLEET = ("cloud", "edge")
SSH = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh")
# Connection settings with which the same address may lead to another machine.
ROUTES = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")


def misplaced_hosts(hostvars, groups, hosts):
    """Host to sentences, for those of `hosts` that are meant to be in cloud or edge and are not.

    An inventory may have other hosts: builders, agents of k3s, and what is no part of the fleet.
    """
    fleet = fleet_hosts(groups)
    others = [host for host in hosts if host not in fleet]
    builders = {hostvars[host].get("app_image_builder") for host in fleet} if others else set()
    said = "The host is in no group that facefleet knows: add it to cloud or edge (hosts.yml)."
    return {
        host: [said] for host in others if host not in builders and is_misplaced(hostvars[host])
    }


def is_misplaced(variables):
    """Return whether a host has no group, a misspelled one, or cameras outside of the fleet."""
    if variables.get("k3s_server") or variables["inventory_hostname"] == "localhost":
        return False
    groups = [name for name in variables["group_names"] if name != "ungrouped"]
    nearly = any(difflib.get_close_matches(name.lower(), FLEET, cutoff=0.75) for name in groups)
    return not groups or nearly or bool(variables.get("facefleet_cameras"))


def inventory_problems(hostvars, groups, hosts, whole_fleet=False):
    """Return sentences by host, for those of `hosts` that conflict with others of the fleet.

    `whole_fleet`: whether the run deploys a cloud host and its devices.
    """
    problems = {}
    for machine, names in by_machine(hostvars, fleet_hosts(groups)).items():
        if len(names) > 1 and machine != "localhost":
            problem = (
                f"{' and '.join(names)} have the same address, {machine[0]}: set ansible_host of "
                "each to its own machine."
            )
            for host in names:
                problems.setdefault(host, []).append(problem)
    for host in set(groups.get("cloud", [])).intersection(groups.get("edge", [])):
        problem = "This host is in both groups, cloud and edge: remove it from one of them."
        problems.setdefault(host, []).append(problem)
    if whole_fleet and not groups.get("edge"):
        problem = (
            "The group edge has no hosts: add the devices to it, or deploy only the cloud "
            "(playbooks/aws.yml, then playbooks/cloud.yml)."
        )
        for host in groups.get("cloud", []):
            problems.setdefault(host, []).append(problem)
    return {host: found for host, found in problems.items() if host in hosts}


def fleet_hosts(groups):
    """Return the hosts of cloud and edge without duplicates."""
    return list(dict.fromkeys(host for group in FLEET for host in groups.get(group, [])))


def by_machine(hostvars, hosts):
    """Group hosts by machine. Hosts without ssh are on the controller's machine."""
    machines = {}
    for host in hosts:
        variables = hostvars[host]
        if str(variables.get("ansible_connection") or "ssh") in SSH:
            address = str(variables.get("ansible_host") or host).strip().strip("[]").lower()
            route = tuple(str(variables.get(name) or "") for name in ROUTES)
            machine = (address, str(variables.get("ansible_port") or 22), route)
        else:
            machine = "localhost"
        machines.setdefault(machine, []).append(host)
    return machines


def process_ports(services):
    """Return `{port, variable, service}` of each service that a host runs as a process."""
    return [
        {
            "port": urlsplit(entry["ready_url"]).port,
            "variable": entry["port_variable"],
            "service": name,
        }
        for name, entry in services.items()
        if "command" in entry
    ]


def shared_ports(hostvars, host, hosts):
    """A sentence for each other owner, on the same machine, of ports that a host has.

    Each of `hosts` has its `process_ports` as facefleet_ports, if they are known.
    """
    ports = {each: hostvars[each].get("facefleet_ports") or [] for each in hosts}
    machine = next(found for found in by_machine(hostvars, hosts).values() if host in found)
    owners = {}
    for other in machine:
        for each in ports[other]:
            owners.setdefault(each["port"], []).append(f"{other} ({each['variable']})")
    shared = {}
    for port, names in owners.items():
        if len(names) > 1 and any(name.startswith(f"{host} (") for name in names):
            shared.setdefault(" and ".join(dict.fromkeys(names)), []).append(str(port))
    return [
        f"{names} have the same ports: {', '.join(same)}. Give each its own ports."
        for names, same in shared.items()
    ]


class FilterModule:
    def filters(self):
        return {
            "inventory_problems": inventory_problems,
            "misplaced_hosts": misplaced_hosts,
            "process_ports": process_ports,
            "shared_ports": shared_ports,
        }
