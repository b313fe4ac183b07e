"""What a role is made of, for tests of its rules without a playbook run: variables, and modules."""

import importlib
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parents[2]
ROLES = ROOT / "roles"
init_plugin_loader([str(ROOT / ".ansible/collections")])  # as ansible.cfg does


class RoleVariables:
    """The defaults and vars of a role, as `variables`."""

    def __init__(self, role):
        self._loader = DataLoader()
        self.variables = {"role_path": str(ROLES / role)}
        for path in [
            ROLES / role / "defaults/main.yml",
            *sorted((ROLES / role).glob("vars/**/*.yml")),
        ]:
            self.variables |= self._loader.load_from_file(str(path), trusted_as_template=True) or {}

    def value(self, name, **variables):
        """What the variable `name` is where the inventory and the tasks before gave `variables`."""
        templar = Templar(self._loader, variables=self.variables | variables)
        return templar.template(trust_as_template(f"{{{{ {name} }}}}"))

    def raw(self, name):
        """The variable as it is written."""
        return self.variables[name]


def plugin(kind, name):
    """A plugin of the collection, such as ("modules", "disk_budget"), as a module of Python's."""
    return importlib.import_module(f"ansible_collections.facefleet.facefleet.plugins.{kind}.{name}")
