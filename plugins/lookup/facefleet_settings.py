"""The settings of a host, each worked out once and typed as its role describes it.

What an inventory says is text in many places (INI files, `-e name=value`), and a variable of an
inventory gives way to a fact that a host returns. So the playbooks work the settings out before
any host is contacted, and keep the result as variables that no fact outranks.
"""

import re
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

DOCUMENTATION = """
name: facefleet_settings
author: the facefleet authors
short_description: The settings of a host
description:
  - One dictionary. Each variable that a role in this checkout describes, where its value hangs on
    the inventory alone, and what Ansible knows of the host's place in the inventory.
  - A list C(problems) has a sentence for each setting that has no value of its type.
options: {}
"""

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
EXAMPLE = ROOT / "inventories/example"
# What nobody's fleet has as the example has it.
PLACEHOLDERS = (
    *("ansible_host", "facefleet_bucket", "facefleet_controller_address"),
    "facefleet_public_address",
)
# What an inventory knows of its hosts, and a fact of the same name would hide.
PLACE = ("inventory_hostname", "inventory_hostname_short", "group_names", "inventory_dir")
SCALARS = {"int": "a whole number", "float": "a number", "bool": "true or false"}


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        specs, defaults, internals = read_roles(self._loader)
        given = {name: value for name, value in variables.items() if name not in internals}
        templar = self._templar.copy_with_new_env(available_variables={**defaults, **given})
        settings, problems = {}, []
        for name in (*PLACE, *specs):
            # What follows from a role's own variables may change in a run: the role sees to it.
            default = defaults.get(name)
            if given.get(name, default) == default and internals.intersection(words(default)):
                continue
            try:
                value = templar.template(trust_as_template("{{ " + name + " }}"))
            except AnsibleError as error:
                problems.append(f"{name} cannot be worked out: {error.message}")
                continue
            try:
                settings[name] = typed(name, value, specs.get(name))
            except ValueError as error:
                problems.append(str(error))
        known = {**settings, "ansible_host": variables.get("ansible_host")}
        problems += placeholders(known, read_example(self._loader))
        return [{**settings, "problems": problems}]


def read_roles(loader):
    """Each optional setting's description and default, and the names of roles' own variables."""
    specs, defaults, internals = {}, {}, set()
    for role in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        folder = role.parents[1]
        options = load(loader, role)["argument_specs"]["main"]["options"]
        specs.update((name, spec) for name, spec in options.items() if not spec.get("required"))
        defaults.update(load(loader, folder / "defaults/main.yml"))
        for path in (folder / "vars").rglob("*.yml"):
            internals.update(load(loader, path))
    return specs, defaults, internals


def read_example(loader):
    """The values of the example's placeholders, by variable, and its cameras' sources."""
    found = {name: set() for name in (*PLACEHOLDERS, "source")}
    for path in EXAMPLE.rglob("*.yml"):
        variables = load(loader, path)
        for name in PLACEHOLDERS:
            found[name].add(str(variables.get(name)))
        cameras = variables.get("facefleet_cameras", [])
        found["source"].update(camera["source"] for camera in cameras)
    found["source"].discard("/dev/video0")
    return {name: values - {"None"} for name, values in found.items()}


def placeholders(settings, example):
    """A sentence for each value that is still the example's."""
    said = [
        f"{name} is {settings[name]}, as in inventories/example: set it to your own."
        for name in PLACEHOLDERS
        if str(settings.get(name)) in example[name]
    ]
    return said + [
        f"The source of the camera {camera['name']} is {camera['source']}, as in "
        "inventories/example: set it to your own."
        for camera in settings.get("facefleet_cameras", [])
        if camera["source"] in example["source"]
    ]


def words(value):
    """The names that a default mentions."""
    return re.findall(r"\w+", str(value))


def load(loader, path):
    return loader.load_from_file(str(path), cache="all", unsafe=False, trusted_as_template=True)


def typed(name, value, spec):
    """The value as its description types it. Raises ValueError with a sentence."""
    if spec is None or spec["type"] == "raw":
        return value
    if spec["type"] == "str" and isinstance(value, (dict, list)):
        raise ValueError(f"{name} is a list or a dictionary: set it to text.")
    if spec["type"] in ("list", "dict") and isinstance(value, str):
        raise ValueError(
            f"{name} is text: set it to a {spec['type']}. After -e, that takes JSON: "
            f"-e '{{\"{name}\": ...}}'."
        )
    if spec["type"] in ("int", "float") and isinstance(value, bool):
        raise ValueError(f"{name} is {value}: set it to {SCALARS[spec['type']]}.")
    result = ArgumentSpecValidator({name: checked(spec)}).validate({name: value})
    if not result.error_messages:
        return without_unset(result.validated_parameters[name])
    if spec["type"] in SCALARS and "choices" not in spec:
        raise ValueError(f"{name} is {value}: set it to {SCALARS[spec['type']]}.")
    # The words of Ansible's validator name the setting; a secret is a str, and never refused.
    raise ValueError(f"{name}: {'; '.join(result.error_messages)}.")


def without_unset(value):
    """The validator sets an option of an element that is not given to null."""
    if isinstance(value, list):
        return [without_unset(item) for item in value]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


def checked(spec, nested=False):
    """A description as the validator takes it.

    A setting's path is on the controller, where `~` is the user's home. One in an element is on
    the host, and left as it is.
    """
    spec = {key: value for key, value in spec.items() if key != "description"}
    if nested and spec.get("type") == "path":
        spec["type"] = "str"
    if "options" in spec:
        options = spec["options"].items()
        spec["options"] = {name: checked(option, nested=True) for name, option in options}
    return spec
