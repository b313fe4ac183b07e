#!/usr/bin/python
"""Check that another machine on the network cannot reach pods that are closed to it."""

import json
import socket
import subprocess
import sys

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: neighbour_check
short_description: Check that a neighbour on the network cannot reach closed pods
description:
  - Kubernetes accepts NetworkPolicies even if nothing enforces them. This module therefore creates
    a neighbour, a network namespace with a link to the host like that of another machine, and lets
    it connect to the ports of the pods. Fails if a connection succeeds.
  - A port that the host itself cannot reach proves nothing, and is not counted.
  - Removes the neighbour at the end.
author: The facefleet authors
attributes:
  check_mode:
    support: none
options:
  kubectl:
    description: The kubectl command with its first arguments.
    type: list
    elements: str
    required: true
  namespaces:
    description: The namespaces of the pods.
    type: list
    elements: str
    required: true
  open:
    description: The services that everyone may reach.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Check that neighbours reach the broker only
  facefleet.facefleet.neighbour_check:
    kubectl: [/usr/local/bin/k3s, kubectl]
    namespaces: [facefleet]
    open: [broker]
"""

RETURN = r"""
refused:
  description: The ports that the neighbour could not reach, as C(service address:port).
  returned: success
  type: list
  elements: str
"""

HOST_END, FAR_END = "facefleet-nb0", "facefleet-nb1"
HOST, NEIGHBOUR = "169.254.77.1", "169.254.77.2"
NAME = "{} {}:{}"  # of a port
CONNECT_TIMEOUT = 3  # seconds for a connection on the same machine

# Runs as the neighbour: prints which of the addresses it could connect to. All at once.
CONNECT = """
import json, selectors, socket, sys, time
targets, patience = json.loads(sys.argv[1]), float(sys.argv[2])
selector, reached = selectors.DefaultSelector(), []
for target in targets:
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex(tuple(target))
    selector.register(connection, selectors.EVENT_WRITE, target)
end = time.monotonic() + patience
while selector.get_map() and time.monotonic() < end:
    for key, _ in selector.select(end - time.monotonic()):
        if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            reached.append(key.data)
        selector.unregister(key.fileobj)
        key.fileobj.close()
print(json.dumps(reached))
"""


def closed_ports(pods, open_services):
    """Return (service, address, port) of each closed TCP port of a running pod."""
    for pod in pods:
        service = pod["metadata"].get("labels", {}).get("app.kubernetes.io/name", "")
        address = pod["status"].get("podIP")
        if service in open_services or not address or pod["spec"].get("hostNetwork"):
            continue
        for container in pod["spec"]["containers"]:
            for port in container.get("ports", []):
                if port.get("protocol", "TCP") == "TCP":
                    yield service, address, port["containerPort"]


def answers(address, port):
    """Return whether the host itself can connect, as it may to all its pods."""
    try:
        socket.create_connection((address, port), timeout=CONNECT_TIMEOUT).close()
    except OSError:
        return False
    return True


class Neighbour:
    """A network namespace that the host's network cannot tell from another machine.

    Its network namespace has no name: `ip netns add` would mount /run/netns anew, over the
    namespaces of the pods that run, and none of these could be ended then. It lasts as long as the
    process in it, which ends with this one, however this one ends.
    """

    def __init__(self, run, python):
        self._run = run
        self._python = python

    def __enter__(self):
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            if not self._process.stdout.readline():
                raise OSError("unshare --net cannot create a network namespace: see `dmesg`")
            self._link()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _link(self):
        self._ip("link", "delete", HOST_END, check_rc=False)  # of a run that has only just ended
        far = f"peer name {FAR_END} netns {self._process.pid}"
        self._ip(*f"link add {HOST_END} type veth {far}".split())
        self._ip("address", "add", f"{HOST}/30", "dev", HOST_END)
        self._ip("link", "set", HOST_END, "up")
        for command in (
            f"address add {NEIGHBOUR}/30 dev {FAR_END}",
            f"link set {FAR_END} up",
            f"route add default via {HOST}",
        ):
            self._inside("ip", *command.split())

    def __exit__(self, *_):
        self._ip("link", "delete", HOST_END, check_rc=False)
        self._process.communicate()

    def _ip(self, *arguments, check_rc=True):
        self._run(["ip", *arguments], check_rc=check_rc)

    def _inside(self, *command):
        """Run a command as the neighbour and return its output."""
        enter = ["nsenter", f"--net=/proc/{self._process.pid}/ns/net"]
        return self._run([*enter, *command], check_rc=True)[1]

    def reaches(self, targets):
        """Return those of (address, port) that the neighbour can connect to."""
        found = self._inside(self._python, "-c", CONNECT, json.dumps(targets), str(CONNECT_TIMEOUT))
        return {tuple(target) for target in json.loads(found)}

    def is_linked(self):
        """Return whether the host responds at all; otherwise a failed connection proves nothing."""
        return "lladdr" in self._inside("ip", "neigh", "show", HOST)


def main():
    module = AnsibleModule(
        argument_spec={
            "kubectl": {"type": "list", "elements": "str", "required": True},
            "namespaces": {"type": "list", "elements": "str", "required": True},
            "open": {"type": "list", "elements": "str", "default": []},
        },
    )
    pods = []
    for namespace in module.params["namespaces"]:
        get = [
            *module.params["kubectl"],
            "get",
            "pods",
            f"--namespace={namespace}",
            "--output=json",
        ]
        running = "--field-selector=status.phase=Running"
        pods += json.loads(module.run_command([*get, running], check_rc=True)[1])["items"]
    ports = [port for port in closed_ports(pods, module.params["open"]) if answers(*port[1:])]
    if not ports:
        module.exit_json(changed=False, refused=[])
    with Neighbour(module.run_command, sys.executable) as neighbour:
        reached = neighbour.reaches([port[1:] for port in ports])
        linked = neighbour.is_linked()
    if reached:
        through = ", ".join(NAME.format(*port) for port in ports if port[1:] in reached)
        module.fail_json(
            msg=f"Neighbours on the network can reach {through}: nothing enforces the "
            "NetworkPolicies (`journalctl --unit=k3s | grep -i 'network policy'` shows why). Set "
            "k3s_config to {disable-network-policy: true}, so that the host's firewall closes the "
            "pods."
        )
    if not linked:
        module.fail_json(
            msg="It is unknown whether neighbours can reach the pods, because a virtual link of "
            f"this host ({HOST_END}) does not work: see `dmesg`, then run this again."
        )
    module.exit_json(changed=False, refused=[NAME.format(*port) for port in ports])


if __name__ == "__main__":
    main()
