"""Kubernetes Services: check that their NodePorts are free and that they respond."""

import time

from ansible_collections.facefleet.facefleet.plugins.module_utils.cluster import NotUpError, key
from ansible_collections.facefleet.facefleet.plugins.module_utils.host import (
    command_line,
    holder,
    taken,
    unready,
)


def check_node_ports(cluster, items, before, port_variable):
    """Raise NotUpError if a Service's NodePort is in use by another Service or a process."""
    for item in items:
        ports = {port["nodePort"] for port in node_ports(item)}
        if ports <= {port["nodePort"] for port in node_ports(before.get(key(item)))}:
            continue
        for other in cluster.get("services", "--all-namespaces"):
            whose = other["metadata"]
            itself = all(whose[name] == item["metadata"][name] for name in ("namespace", "name"))
            for port in ports & {port["nodePort"] for port in node_ports(other)}:
                if not itself:
                    raise NotUpError(
                        f"Port {port} is taken by the Service {whose['name']} of the namespace "
                        f"{whose['namespace']}: delete it, or set {port_variable} to another port."
                    )
        for port in ports:
            pid = holder(port)
            # Older ones of kube-proxy hold a NodePort open.
            if pid is not None and not ({"k3s", "kube-proxy"} & program(pid)):
                raise NotUpError(taken(port, pid, port_variable))


def program(pid):
    """Return the words of a process's command line, without folders."""
    return {word.rpartition("/")[2] for word in command_line(pid).split()}


def node_ports(item):
    """Return the ports of a Service that are also ports of the host."""
    if not item or item["kind"] != "Service":
        return []
    return [port for port in item["spec"]["ports"] if "nodePort" in port]


def wait_for_address(cluster, name, timeout):
    """Raise NotUpError if a Service does not respond in time at all of its addresses."""
    service = cluster.get("service", name)[0]
    node = cluster.get("nodes")[0]["status"]["addresses"][0]["address"]
    spec = service["spec"]
    addresses = [f"{spec['clusterIP']}:{port['port']}" for port in spec["ports"]]
    addresses += [f"{node}:{port['nodePort']}" for port in node_ports(service)]
    deadline = time.monotonic() + timeout
    for address in addresses:
        problem = unready(f"tcp://{address}")
        while problem is not None:
            if time.monotonic() > deadline:
                raise NotUpError(f"The Service {name} has no answer after {timeout} s: {problem}.")
            time.sleep(0.5)
            problem = unready(f"tcp://{address}")
