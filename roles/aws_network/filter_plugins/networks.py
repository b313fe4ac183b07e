"""Addresses as an inventory has them, as the networks that a security group takes."""

import ipaddress

ANYWHERE = "anywhere"


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


def _listed(addresses):
    """One or a list of them, as text."""
    many = addresses if isinstance(addresses, (list, tuple)) else [addresses]
    return [str(address).strip() for address in many]


class FilterModule:
    def filters(self):
        return {"networks": networks, "network_problem": network_problem}
