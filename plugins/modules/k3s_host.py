#!/usr/bin/python
"""Gather facts about a host that k3s requires, and about an existing k3s."""

import os
import pathlib
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: k3s_host
short_description: Gather facts about a host that k3s requires, and about an existing k3s
description:
  - Reads the kernel's files, runs C(modprobe), C(systemctl) and k3s, and returns a dictionary.
  - Returns no Ansible facts, so that no answer of a host becomes a variable.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  unit:
    description: The systemd unit that runs k3s, C(k3s) or C(k3s-agent).
    type: str
    required: true
  ports:
    description: The ports that k3s and the broker need.
    type: list
    elements: int
    required: true
  data:
    description: The data folder of k3s.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Gather the facts that k3s requires
  facefleet.facefleet.k3s_host:
    unit: k3s
    ports: [6443, 10250]
    data: /var/lib/rancher/k3s
  register: probed
"""

RETURN = r"""
host:
  description: The facts.
  returned: always
  type: dict
  sample:
    addresses: [127.0.0.1, 192.0.2.7]
    cgroup: 2
    controllers: [cpu, cpuset, memory, pids]
    disk: 53687091200
    foreign: []
    memory: 8127668224
    missing: []
    missing_policy_modules: []
    node: jetson-1
    running: ""
    swap: []
    taken: []
    units: [k3s]
    version: v1.36.3+k3s1
"""

MODULES = (
    "overlay",
    "br_netfilter",
    "nf_conntrack",
    "nf_nat",
    "veth",
    "vxlan",
    "xt_comment",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_multiport",
)
# What k3s needs to enforce NetworkPolicies. Without these modules it runs, but enforces none.
POLICY_MODULES = ("ip_set", "ip_set_hash_ip", "ip_set_hash_net", "xt_set")
K3S = "/usr/local/bin/k3s"
UNITS = "/etc/systemd/system"
CONFIG = "/etc/rancher/k3s/config.yaml"
# The role's record of the node's name, which it writes first.
RECORD = "/var/lib/facefleet/k3s"
NAME = re.compile(r"[a-z0-9.-]{1,253}")
RUNS_K3S = re.compile(r"^ExecStart=\S*/k3s(\s|$)", re.MULTILINE)
# A variable in the role's unit. A k3s without it was installed by others.
FINGERPRINT = "FACEFLEET_K3S="
TCP_LISTEN = "0A"  # a socket's state in /proc/net/tcp


class Host:
    """A host by its files, below `root`, and by its commands: `run` takes one, and returns its
    exit status and output."""

    def __init__(self, run, root="/"):
        self._run = run
        self._root = pathlib.Path(root)

    def _path(self, path):
        return self._root / path.lstrip("/")

    def _read(self, path):
        """Return the text of a file; empty if it does not exist or cannot be read."""
        try:
            return self._path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def gather(self, unit, ports, data):
        ours = [
            name for name in ("k3s", "k3s-agent") if FINGERPRINT in self._read(self._unit(name))
        ]
        return {
            "addresses": self.addresses(),
            "cgroup": self.cgroup(),
            "controllers": self.controllers(),
            "disk": self.disk(data),
            "foreign": self.foreign(ours, data),
            "memory": self.memory(),
            "missing": self.missing(MODULES),
            "missing_policy_modules": self.missing(POLICY_MODULES),
            "node": self.node(ours),
            "running": self.running(unit),
            "swap": self.swap(),
            "taken": self.taken(ports),
            "units": ours,
            "version": self.version(),
        }

    @staticmethod
    def _unit(name):
        return f"{UNITS}/{name}.service"

    def addresses(self):
        """Return the addresses of all interfaces, without prefix lengths."""
        rows = [line.split() for line in self._run(["ip", "-oneline", "address"])[1].splitlines()]
        return [row[3].partition("/")[0] for row in rows if len(row) > 3]

    def foreign(self, ours, data):
        """Return traces of a k3s that the role did not install: units, and files without a unit."""
        units = [
            file.name
            for file in sorted(self._path(UNITS).glob("*.service"))
            if file.stem not in ours
            and (
                file.stem in ("k3s", "k3s-agent")
                or RUNS_K3S.search(self._read(f"{UNITS}/{file.name}"))
            )
        ]
        if ours or self._path(RECORD).exists():
            return units
        files = (K3S, CONFIG, f"{data}/server", f"{data}/agent")
        return units + [path for path in files if self._path(path).exists()]

    def node(self, ours):
        """Return the name under which the role set up this host; empty if it did not."""
        name = self._read(RECORD).strip()
        if ours and not name:
            lines = self._read(CONFIG).splitlines()
            name = next((line[10:].strip() for line in lines if line.startswith("node-name:")), "")
        return name if NAME.fullmatch(name) else ""

    def cgroup(self):
        return 2 if self._path("/sys/fs/cgroup/cgroup.controllers").exists() else 1

    def controllers(self):
        if self.cgroup() == 2:
            return self._read("/sys/fs/cgroup/cgroup.controllers").split()
        rows = [line.split() for line in self._read("/proc/cgroups").splitlines()]
        return [row[0] for row in rows if len(row) == 4 and row[3] == "1"]

    def missing(self, modules):
        """Return those of `modules` that the kernel lacks."""
        # A container has no modules of its own: nothing can be said there.
        if not self._path(f"/lib/modules/{os.uname().release}").is_dir():
            return []
        return [
            module
            for module in modules
            if not self._path(f"/sys/module/{module}").is_dir()
            and self._run(["modprobe", "--dry-run", "--quiet", module])[0] != 0
        ]

    def swap(self):
        """Return devices and files, except compressed memory, which is harmless (JetPack)."""
        rows = self._read("/proc/swaps").splitlines()[1:]
        return [row.split()[0] for row in rows if row.strip() and "zram" not in row.split()[0]]

    def memory(self):
        for line in self._read("/proc/meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name == "MemTotal":
                return int(rest.split()[0]) * 1024
        return 0

    def disk(self, data):
        """Return the bytes free where k3s keeps its data."""
        path = self._path(data)
        while not path.exists():
            path = path.parent
        free = os.statvfs(path)
        return free.f_bavail * free.f_frsize

    def taken(self, ports):
        """Return those of `ports` that are in use."""
        listening = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for row in self._read(table).splitlines()[1:]:
                address, _, state = row.split()[1:4]
                if state == TCP_LISTEN:
                    listening.add(int(address.rpartition(":")[2], 16))
        return sorted(listening & set(ports))

    def version(self):
        """Return a version such as v1.36.3+k3s1; empty if k3s is missing or does not run."""
        if not self._path(K3S).exists():
            return ""
        words = self._run([K3S, "--version"])[1].split()
        return words[2] if words[:2] == ["k3s", "version"] and len(words) > 2 else ""

    def running(self, unit):
        """Return the fingerprint that the unit's process was started with; empty if none runs."""
        show = ["systemctl", "show", "--property=MainPID", "--value", f"{unit}.service"]
        pid = self._run(show)[1].strip()
        for variable in self._read(f"/proc/{pid}/environ").split("\0"):
            if variable.startswith(FINGERPRINT):
                return variable[len(FINGERPRINT) :]
        return ""


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
            "data": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )

    def run(command):
        program = module.get_bin_path(command[0])  # in the folders of root's, too
        if program is None:
            return 127, ""
        return module.run_command([program, *command[1:]])[:2]

    module.exit_json(changed=False, host=Host(run).gather(**module.params))


if __name__ == "__main__":
    main()
