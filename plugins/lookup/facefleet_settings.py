"""Evaluate the settings of a host once, with the types that the roles' argument specs define.

Inventories often contain only text (INI files, `-e name=value`), and facts that a host returns take
precedence over inventory variables. So the playbooks evaluate the settings before contacting any
host, and keep the result in variables that take precedence over facts.
"""

import re
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils.common.validation import (
    check_type_bool,
    check_type_float,
    check_type_int,
    check_type_path,
    check_type_str,
)
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible.utils.display import Display

DOCUMENTATION = """
name: facefleet_settings
author: the facefleet authors
short_description: The settings of a host
description:
  - Returns one dictionary. It has each variable that a role in this checkout describes and whose
    value depends only on the inventory, and the host's place in the inventory.
  - The list C(problems) has a sentence for each setting with an invalid value. Such a setting gets
    its default, so that the settings that depend on it can be checked, too.
options:
  _terms:
    description: >-
      Names of lists to evaluate from these settings and to return instead of the dictionary.
      Invalid settings of the command line (C(-e)) are replaced by their defaults here, too.
"""

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
EXAMPLE = ROOT / "inventories/example"
# Settings that no real fleet shares with the example.
PLACEHOLDERS = (
    *("ansible_host", "facefleet_bucket", "facefleet_ssh_allowed_cidrs"),
    "facefleet_broker_allowed_cidrs",
)
# Variables of a host's place in the inventory, which facts of the same name would hide.
PLACE = ("inventory_hostname", "inventory_hostname_short", "group_names", "inventory_dir")
# By type in an argument spec: its name in sentences, and the function that converts text.
TYPES = {
    "str": ("text", check_type_str),
    "path": ("a path", check_type_path),
    "int": ("a whole number", check_type_int),
    "float": ("a number", check_type_float),
    "bool": ("true or false", check_type_bool),
    "list": ("a list", list),
    "dict": ("a dictionary", dict),
}
# Names of list elements in sentences; elements of other lists are called items.
ELEMENTS = {"facefleet_cameras": "camera"}
MAX_LENGTH = 60  # characters of a value in a sentence


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        specs, defaults, internals = read_roles(self._loader)
        given = {name: value for name, value in variables.items() if name not in internals}
        settings, problems = {}, []
        # First the given settings, then those that depend on them: only the cause is reported.
        for names in ([name for name in specs if name in given], [*PLACE, *specs]):
            templar = self._templar.copy_with_new_env(available_variables={**defaults, **given})
            for name in names:
                if name in settings:
                    continue
                # Leave defaults that depend on role variables to the role, as they may change.
                default = defaults.get(name)
                if given.get(name, default) == default and internals.intersection(words(default)):
                    continue
                try:
                    value = templar.template(trust_as_template("{{ " + name + " }}"))
                    settings[name], found = typed(name, value, specs.get(name))
                except AnsibleError as error:
                    found = [f"{name} cannot be evaluated: {error.message}"]
                except ValueError as error:
                    found = [str(error)]
                if found:
                    given.pop(name, None)
                    problems += found
        cameras = settings.get("facefleet_cameras")
        if cameras == [] and "edge" in settings["group_names"] and not terms:
            warn(f"{settings['inventory_hostname']} has no camera: set its facefleet_cameras.")
        known = {**settings, "ansible_host": variables.get("ansible_host")}
        problems += placeholders(known, read_example(self._loader))
        if not terms:
            return [{**settings, "problems": problems}]
        templar = self._templar.copy_with_new_env(available_variables={**variables, **settings})
        try:
            return [templar.template(trust_as_template("{{ " + name + " }}")) for name in terms]
        except AnsibleError:  # due to a setting without a default, which has its own sentence
            return [[]]


def warn(sentence):
    """Show a warning, which as a task's warning would be hidden with it (display_ok_hosts)."""
    Display().display(f"[WARNING]: {sentence}", color=constants.COLOR_WARN, stderr=True)


def read_roles(loader):
    """Return spec and default of each optional setting, and the names of role variables."""
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
    """Return the values of the example's placeholders by variable, and its cameras' sources."""
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
    """Return a sentence for each value that is still the example's."""
    problems = [
        f"{name} is {settings[name]}, as in inventories/example: set it to your own."
        for name in PLACEHOLDERS
        if str(settings.get(name)) in example[name]
    ]
    return problems + [
        f"The source of the camera {camera['name']} is {camera['source']}, as in "
        "inventories/example: set it to your own."
        for camera in settings.get("facefleet_cameras", [])
        if camera["source"] in example["source"]
    ]


def words(value):
    """Return the names that a default mentions."""
    return re.findall(r"\w+", str(value))


def load(loader, path):
    return loader.load_from_file(str(path), cache="all", unsafe=False, trusted_as_template=True)


def typed(name, value, spec):
    """Convert a value as its spec says. Also return a sentence for each invalid list element.

    Invalid elements are omitted. Raises ValueError with a sentence if the whole value is invalid.
    """
    if spec is None or spec["type"] == "raw":
        return value, []
    # Paths are on the controller, where `~` is the user's home.
    value = scalar(name, value, spec)
    if "options" not in spec and "elements" not in spec:
        return value, []
    if spec["type"] == "dict":
        return options(name, value, spec["options"]), []
    kept, problems = [], []
    for number, item in enumerate(value, 1):
        label = element(name, number, item)
        try:
            kept.append(of_element(label, item, spec))
        except ValueError as error:
            problems.append(str(error))
    return kept, problems


def scalar(name, value, spec):
    """Convert a value to its type, without checking its elements."""
    type_name, convert = TYPES[spec["type"]]
    if value is None:
        raise ValueError(f"{name} has no value: give it {type_name}, or remove it.")
    if isinstance(value, str) and spec["type"] in ("list", "dict"):
        raise ValueError(
            f"{name} must be {type_name}, not text. On the command line, use JSON: "
            f"-e '{{\"{name}\": ...}}'."
        )
    # YAML reads 0123 as another number, and true as a truth value: a password would be changed.
    if spec.get("no_log") and isinstance(value, (bool, int, float)):
        raise ValueError(f"{name} must be text: put it in quotes.")
    kind = {"list": list, "dict": dict}.get(spec["type"])
    fits = isinstance(value, kind) if kind else not isinstance(value, (list, dict))
    if spec["type"] in ("int", "float") and isinstance(value, bool):
        fits = False
    try:
        if not fits:
            raise TypeError
        converted = convert(value)
    except TypeError:
        raise ValueError(f"{name} must be {type_name}, not {shown(value)}.") from None
    choices = spec.get("choices", [converted])
    if converted not in choices:
        names = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"{name} must be one of: {names}; not {converted}.")
    return converted


def of_element(label, item, spec):
    """Convert an element of a list. Its paths are on the host, and are not expanded."""
    if "options" not in spec:
        return scalar(label, item, {"type": spec["elements"]})
    if not isinstance(item, dict):
        names = ", ".join(spec["options"])
        raise ValueError(f"{label} must be a dictionary (known: {names}), not {kind_of(item)}.")
    return options(label, item, spec["options"])


def options(label, given, specs):
    """Convert the options of a dictionary. Raises ValueError with one sentence for all problems."""
    problems = []
    if unknown := [str(key) for key in given if key not in specs]:
        keys = "key" if len(unknown) == 1 else "keys"
        problems.append(f"unknown {keys} {', '.join(unknown)} (known: {', '.join(specs)})")
    kept = {}
    for key, spec in specs.items():
        if given.get(key) is None:
            if spec.get("required"):
                problems.append(f"{key} is missing")
            continue
        try:
            kept[key] = scalar(key, given[key], as_on_host(spec))
        except ValueError as error:
            problems.append(str(error).rstrip("."))
    if problems:
        raise ValueError(f"{label}: {'; '.join(problems)}.")
    return kept


def as_on_host(spec):
    return {**spec, "type": "str"} if spec["type"] == "path" else spec


def element(name, number, item):
    """Name an element in a sentence: `camera door`, or by its position."""
    kind = ELEMENTS.get(name, "item")
    given = item.get("name") if isinstance(item, dict) else None
    if isinstance(given, (str, int)) and given != "":
        return f"{kind} {given}"
    return f"{kind} {number} of {name}"


def shown(value):
    """Format a value as in an inventory. Content of lists and dictionaries is hidden."""
    if isinstance(value, str):
        text = value if len(value) <= MAX_LENGTH else f"{value[:MAX_LENGTH]}..."
        return f"'{text}'"
    if isinstance(value, bool):
        return str(value).lower()
    return kind_of(value) if isinstance(value, (list, dict)) else str(value)


def kind_of(value):
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a dictionary"
    return "text"
