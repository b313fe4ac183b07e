"""Kubernetes Services: check that their NodePorts are free and that they respond."""

import time

from ansible_collections.facefleet.facefleet.plugins.module_utils.cluster import (
    ServiceError,
    object_id,
)
from ansible_collections.facefleet.facefleet.plugins.module_utils.host import (
    command_line,
    listener_pid,
    port_in_use_message,
    readiness_problem,
)


def check_node_ports(cluster, items, before, port_variable):
    """Raise ServiceError if a Service's NodePort is in use by another Service or a process."""
    for item in items:
        ports = {port["nodePort"] for port in node_ports(item)}
        if ports <= {port["nodePort"] for port in node_ports(before.get(object_id(item)))}:
            continue
        for other in cluster.get("services", "--all-namespaces"):
            whose = other["metadata"]
            itself = all(whose[name] == item["metadata"][name] for name in ("namespace", "name"))
            for port in ports & {port["nodePort"] for port in node_ports(other)}:
                if not itself:
                    raise ServiceError(
                        f"Port {port} is in use by the Service {whose['name']} in the namespace "
                        f"{whose['namespace']}: delete it, or set {port_variable} to another port."
                    )
        for port in ports:
            pid = listener_pid(port)
            # Older versions of kube-proxy listen on NodePorts.
            if pid is not None and not ({"k3s", "kube-proxy"} & program(pid)):
                raise ServiceError(port_in_use_message(port, pid, port_variable))


def program(pid):
    """Return the words of a process's command line, without folders."""
    return {word.rpartition("/")[2] for word in command_line(pid).split()}


def node_ports(item):
    """Return the ports of a Service that are also ports of the host."""
    if not item or item["kind"] != "Service":
        return []
    return [port for port in item["spec"]["ports"] if "nodePort" in port]


def wait_for_address(cluster, name, timeout):
    """Raise ServiceError if a Service does not respond in time at all of its addresses."""
    service = cluster.get("service", name)[0]
    node = cluster.get("nodes")[0]["status"]["addresses"][0]["address"]
    spec = service["spec"]
    addresses = [f"{spec['clusterIP']}:{port['port']}" for port in spec["ports"]]
    addresses += [f"{node}:{port['nodePort']}" for port in node_ports(service)]
    deadline = time.monotonic() + timeout
    for address in addresses:
        problem = readiness_problem(f"tcp://{address}")
        while problem is not None:
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"The Service {name} does not answer after {timeout} s: {problem}."
                )
            time.sleep(0.5)
            problem = readiness_problem(f"tcp://{address}")
