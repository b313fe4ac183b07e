"""The settings of a host, each worked out once and typed as its role describes it.

What an inventory says is text in many places (INI files, `-e name=value`), and a variable of an
inventory gives way to a fact that a host returns. So the playbooks work the settings out before
any host is contacted, and keep the result as variables that no fact outranks.
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
  - One dictionary. Each variable that a role in this checkout describes, where its value hangs on
    the inventory alone, and what Ansible knows of the host's place in the inventory.
  - A list C(problems) has a sentence for each setting that has no value of its type. Such a
    setting has its default, so that what follows from it can be checked too.
options:
  _terms:
    description: >-
      Names of lists to be worked out from these settings, in place of the dictionary. A setting of
      the command line (C(-e)) is refused and defaulted here too, where no fact outranks it.
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
# A type of a role's description: what a value of it is called, and what makes one of text.
TYPES = {
    "str": ("text", check_type_str),
    "path": ("a path", check_type_path),
    "int": ("a whole number", check_type_int),
    "float": ("a number", check_type_float),
    "bool": ("true or false", check_type_bool),
    "list": ("a list", list),
    "dict": ("a dictionary", dict),
}
# What an element of a list is called; else it is an item of the setting.
ELEMENTS = {"facefleet_cameras": "camera"}
LONGEST = 60  # characters of a value in a sentence


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        specs, defaults, internals = read_roles(self._loader)
        given = {name: value for name, value in variables.items() if name not in internals}
        settings, problems = {}, []
        # What follows from a setting is worked out once that is in order: its own problem counts.
        for names in ([name for name in specs if name in given], [*PLACE, *specs]):
            templar = self._templar.copy_with_new_env(available_variables={**defaults, **given})
            for name in names:
                if name in settings:
                    continue
                # What follows from a role's own variables may change in a run: the role's to do.
                default = defaults.get(name)
                if given.get(name, default) == default and internals.intersection(words(default)):
                    continue
                try:
                    value = templar.template(trust_as_template("{{ " + name + " }}"))
                    settings[name], said = typed(name, value, specs.get(name))
                except AnsibleError as error:
                    said = [f"{name} cannot be worked out: {error.message}"]
                except ValueError as error:
                    said = [str(error)]
                if said:
                    given.pop(name, None)
                    problems += said
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
        except AnsibleError:  # it hangs on a setting without a default: that one has its sentence
            return [[]]


def warn(sentence):
    """As a task's own warning, it would be hidden where the task is (display_ok_hosts)."""
    Display().display(f"[WARNING]: {sentence}", color=constants.COLOR_WARN, stderr=True)


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
    """The value as its description types it, and a sentence for each element that is left out.

    Raises ValueError with a sentence where nothing is left.
    """
    if spec is None or spec["type"] == "raw":
        return value, []
    # A path is on the controller, where `~` is the user's home.
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
    """The value of its type, whatever is in it."""
    called, convert = TYPES[spec["type"]]
    if value is None:
        raise ValueError(f"{name} has no value: give it {called}, or remove it.")
    if isinstance(value, str) and spec["type"] in ("list", "dict"):
        raise ValueError(
            f"{name} must be {called}, not text. After -e, that takes JSON: "
            f"-e '{{\"{name}\": ...}}'."
        )
    kind = {"list": list, "dict": dict}.get(spec["type"])
    fits = isinstance(value, kind) if kind else not isinstance(value, (list, dict))
    if spec["type"] in ("int", "float") and isinstance(value, bool):
        fits = False
    try:
        if not fits:
            raise TypeError
        converted = convert(value)
    except TypeError:
        raise ValueError(f"{name} must be {called}, not {shown(value)}.") from None
    choices = spec.get("choices", [converted])
    if converted not in choices:
        names = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"{name} must be one of: {names}; not {converted}.")
    return converted


def of_element(label, item, spec):
    """An element of a list. Its paths are on the host, and left as they are."""
    if "options" not in spec:
        return scalar(label, item, {"type": spec["elements"]})
    if not isinstance(item, dict):
        names = ", ".join(spec["options"])
        raise ValueError(f"{label} must be a dictionary (known: {names}), not {kind_of(item)}.")
    return options(label, item, spec["options"])


def options(label, given, specs):
    """The options of a dictionary. Raises ValueError with one sentence for all that is wrong."""
    said = []
    if unknown := [str(key) for key in given if key not in specs]:
        keys = "key" if len(unknown) == 1 else "keys"
        said.append(f"unknown {keys} {', '.join(unknown)} (known: {', '.join(specs)})")
    kept = {}
    for key, spec in specs.items():
        if given.get(key) is None:
            if spec.get("required"):
                said.append(f"{key} is missing")
            continue
        try:
            kept[key] = scalar(key, given[key], as_on_host(spec))
        except ValueError as error:
            said.append(str(error).rstrip("."))
    if said:
        raise ValueError(f"{label}: {'; '.join(said)}.")
    return kept


def as_on_host(spec):
    return {**spec, "type": "str"} if spec["type"] == "path" else spec


def element(name, number, item):
    """How a sentence calls an element: `camera door`, or by its place."""
    called = ELEMENTS.get(name, "item")
    given = item.get("name") if isinstance(item, dict) else None
    if isinstance(given, (str, int)) and given != "":
        return f"{called} {given}"
    return f"{called} {number} of {name}"


def shown(value):
    """A value as its inventory has it; what a list or a dictionary holds may be secret."""
    if isinstance(value, str):
        text = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
        return f"'{text}'"
    if isinstance(value, bool):
        return str(value).lower()
    return kind_of(value) if isinstance(value, (list, dict)) else str(value)


def kind_of(value):
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a dictionary"
    return "text"
