"""Apply environment variables and resources that an inventory sets for services.

`given` has these by kind of service (`environment`, `resources`), and the settings that each kind
supports (`settings`). The `overrides` of a single entry take precedence.
"""

import ast
import re

DERIVED = ("FACEFLEET_HTTP", "FACEFLEET_TLS", "FACEFLEET_USER", "FACEFLEET_PASSWORD")
RESOURCES = {"requests": ("cpu", "memory"), "limits": ("cpu", "memory")}
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|[kMGT]|[KMGT]i)?")


def with_overrides(kinds, given):
    """Return the entries of each kind with their overrides applied."""
    return {
        kind: {name: overridden(kind, entry, given) for name, entry in entries.items()}
        for kind, entries in kinds.items()
    }


def overridden(kind, entry, given):
    own = entry.get("overrides", {})
    environment = {
        **entry.get("environment", {}),
        **mapping(given["environment"].get(kind)),
        **mapping(own.get("environment")),
    }
    made = {**entry, "environment": environment}
    if "resources" in entry.get("kubernetes", {}):
        made["kubernetes"] = dict(entry["kubernetes"])
        for more in (mapping(given["resources"].get(kind)), mapping(own.get("resources"))):
            resources = made["kubernetes"]["resources"]
            made["kubernetes"]["resources"] = {
                part: {**resources[part], **mapping(more.get(part))} for part in RESOURCES
            }
            if "storage" in more:
                made["kubernetes"]["storage"] = more["storage"]
    return made


def mapping(value):
    return value if isinstance(value, dict) else {}


def override_problems(kinds, given):
    """Return a sentence for each environment variable and resource that cannot be set."""
    problems = []
    for part, variable, check in (
        ("environment", "facefleet_service_environment", environment_problems),
        ("resources", "facefleet_service_resources", resource_problems),
    ):
        for kind, values in given[part].items():
            if kind in kinds:
                known = given["settings"].get(kind, [])
                entries = list(kinds[kind].values())
                problems += check(f"{variable} of {kind}", values, entries, known)
            else:
                names = ", ".join(sorted(kinds))
                problems.append(f"{variable}: unknown service {kind}: use one of {names}.")
        for kind, entries in kinds.items():
            known = given["settings"].get(kind, [])
            for name, entry in entries.items():
                values = entry.get("overrides", {}).get(part, {})
                problems += check(f"{part} of {name}", values, [entry], known)
    return problems


def environment_problems(where, environment, entries, known):
    if not isinstance(environment, dict):
        return [f"{where} is {environment}: give a dictionary of names and values."]
    taken = {*DERIVED}
    for entry in entries:
        taken |= {*entry.get("environment", {}), *entry.get("secret_environment", {})}
    problems = []
    for name, value in environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
            problems.append(
                f"{where}: {name} is not a valid name for an environment variable: correct it."
            )
        elif name.startswith("AWS_"):
            problems.append(f"{where}: set {name} in facefleet_aws_environment instead.")
        elif name in taken:
            problems.append(
                f"{where}: {name} is derived from other variables (see docs/settings.md): remove "
                "it here."
            )
        elif name.startswith("FACEFLEET_") and name not in known:
            problems.append(f"{where}: unknown setting {name}: see docs/settings.md.")
        elif isinstance(value, (dict, list)) or value is None:
            problems.append(f"{where}: {name} must be text or a number.")
    return problems


def resource_problems(where, resources, entries, _known):
    if not isinstance(resources, dict):
        return [f"{where} is {resources}: give a dictionary with requests and limits."]
    # Without entries, as on a device without cameras, it is unknown whether there is state.
    has_state = not entries or any("state_dir" in entry for entry in entries)
    problems = []
    for part, amounts in resources.items():
        if part == "storage" and has_state:
            names, amounts = ("storage",), {"storage": amounts}
        elif part in RESOURCES and isinstance(amounts, dict):
            names = RESOURCES[part]
        else:
            problems.append(
                f"{where}: {part} is not valid: use requests and limits, with cpu and memory."
            )
            continue
        for name, amount in amounts.items():
            if name not in names:
                problems.append(f"{where}: unknown {name} in {part}: use {' and '.join(names)}.")
            elif not QUANTITY.fullmatch(str(amount)):
                problems.append(
                    f"{where}: {name} is {amount}: use a quantity such as 500m, 2 or 512Mi."
                )
    return problems


def service_settings(source):
    """Return supported FACEFLEET_* variables by kind, from the source of the app's settings."""
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}

    def fields(name):
        if name not in classes:
            return []
        bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
        own = [item.target.id for item in classes[name].body if isinstance(item, ast.AnnAssign)]
        return [field for base in bases for field in fields(base)] + [
            f"FACEFLEET_{field.upper()}" for field in own if field != "model_config"
        ]

    return {
        re.sub("(?<!^)(?=[A-Z])", "-", name.removesuffix("Settings")).lower(): fields(name)
        for name in classes
    }


class FilterModule:
    def filters(self):
        return {
            "override_problems": override_problems,
            "service_settings": service_settings,
            "with_overrides": with_overrides,
        }
