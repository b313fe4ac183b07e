"""What a role is made of, for tests of its rules without a playbook run: variables, and modules."""

import importlib.util
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader, lookup_loader
from ansible.template import Templar, trust_as_template

ROLES = Path(__file__).parent
init_plugin_loader([])
# As ansible.cfg does.
filter_loader.add_directory(str(ROLES.parent / "plugins/filter"))
lookup_loader.add_directory(str(ROLES.parent / "plugins/lookup"))


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


def library(role, name, folder="library"):
    """A module or plugin of a role, as a module of Python's."""
    spec = importlib.util.spec_from_file_location(name, ROLES / role / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
