"""What the roles work out for the hosts of an inventory, without a run: plans and manifests.

Ansible's own inventory and templating are used, in the order in which they count in a run. What
differs from machine to machine is replaced.
"""

import os
from pathlib import Path

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible.vars.manager import VariableManager

from support.role_variables import ROLES

ROOT = ROLES.parent
MACHINE = {
    "ansible_playbook_python": "/venv/bin/python3",
    "facefleet_state_dir": "/state",
    "app_image_tag": "0123456789ab",
    "facefleet_app_version": "a version",
    "__facefleet_embedded_s3": "/checkout/scripts/embedded_s3",
    "__facefleet_mosquitto": "/usr/sbin/mosquitto",
    "facefleet_revoked_names": [],
}
# Of what a service reads; all else is a file.
FOLDERS = ("/etc/facefleet/pki/", "/srv/pictures", "/var/lib/facefleet/deployed")


class HostVars(dict):
    """As Ansible's own, it is not copied with each template's variables."""

    def __deepcopy__(self, _memo):
        return self


def plans(folder: Path) -> dict[str, dict]:
    """Host to its plan."""
    return {name: host.plan() for name, host in hosts(folder).items()}


def hosts(*sources: Path, **extra: object) -> dict[str, "Host"]:
    """The hosts of inventories, where `-e` gives `extra`."""
    os.environ.pop("SOURCE", None)  # of `make demo`
    loader = DataLoader()
    inventory = InventoryManager(loader, sources=[str(source) for source in sources])
    manager = VariableManager(loader, inventory)
    defaults, internals = {}, {}
    for path in sorted(ROLES.glob("*/defaults/main.yml")):
        defaults |= read(loader, path)
    for path in sorted(ROLES.glob("*/vars/**/*.yml")):
        internals |= read(loader, path)
    hostvars = HostVars()
    for host in inventory.get_hosts():
        given = {**manager.get_vars(host=host), **extra, "hostvars": hostvars}
        hostvars[host.name] = {**defaults, **given}
    return {
        name: Host(loader, {**variables, **internals, **MACHINE, **extra})
        for name, variables in hostvars.items()
    }


def as_text(entry):
    """What a service is told has no types."""
    told = {
        name: {key: str(value) for key, value in entry[name].items()}
        for name in ("environment", "secret_environment")
        if name in entry
    }
    command = {"command": [str(word) for word in entry["command"]]} if "command" in entry else {}
    return {**entry, **told, **command}


def read(loader, path):
    return loader.load_from_file(str(path), trusted_as_template=True) or {}


class Host:
    """A host's variables."""

    def __init__(self, loader, variables):
        self.loader = loader
        pods = variables["facefleet_runtime"] == "k3s"
        role = str(ROLES / "app_service")
        self.variables = {**variables, "role_path": role, "ansible_search_path": [role]}
        # As playbooks/settings.yml does.
        self.settings = self.value("lookup('facefleet.facefleet.facefleet_settings')")
        self.problems = self.settings.pop("problems")
        assert [one for one in self.problems if "inventories/example" not in one] == []
        self.variables |= {**self.settings, **MACHINE}
        self.pods = pods
        self.part = "edge" if "edge" in self.variables["group_names"] else "cloud"

    def value(self, expression, **more):
        templar = Templar(self.loader, variables={**self.variables, **more})
        return templar.template(trust_as_template("{{ " + expression + " }}"))

    def work_out(self):
        """The plan, as roles/facefleet/tasks/plan.yml records it."""
        made = self.value("__facefleet_plan", role_path=str(ROLES / "facefleet"))
        assert made["problems"] == [], made["problems"]
        self.variables["facefleet_plan"] = made
        return made

    def plan(self):
        """The plan, and what is rendered of it."""
        made = self.work_out()
        services = made["services"]
        if self.part == "cloud" and not self.pods:
            services = {**made["s3"], **services}
        rendered = self.manifests if self.pods else self.program
        plan = {
            "images": made["images"],
            "certificates": made["certificates"],
            "flows": made["flows"],
            "cameras_on_the_host": self.value("facefleet_camera_paths"),
            "services": [{"name": name, **as_text(entry)} for name, entry in services.items()],
        }
        objects = {name: rendered(name, entry) for name, entry in services.items()}
        if self.pods:  # each service has those of its namespace
            shared = {str(item): item for items in objects.values() for item in items[:2]}
            plan["namespaces"] = list(shared.values())
            objects = {name: items[2:] for name, items in objects.items()}
        return {**plan, "rendered": objects}

    def service(self, name, entry):
        return {"app_service_name": name, "__app_service_entry": entry}

    def program(self, name, entry):
        """The files of a process."""
        if "command" not in entry:
            return None
        files = self.value("__app_service_program_files", **self.service(name, entry))
        return {name: text.splitlines() for name, text in files.items()}

    def manifests(self, name, entry):
        given = self.service(name, entry)
        stats = [
            {"item": path, "stat": {"exists": True, "isdir": path.startswith(FOLDERS)}}
            for path in entry.get("read_only_paths", [])
        ]
        given["__app_service_file_stats"] = {"results": stats}
        tasks = yaml.safe_load((ROLES / "app_service/tasks/k3s.yml").read_text())
        for task in tasks:
            for key, text in task.get("vars", {}).items():
                given[key] = trust_as_template(text)
        secret = self.value("__app_service_secret_manifest | from_yaml", **given)
        return [*self.value("__app_service_manifests", **given), *([secret] if secret else [])]
