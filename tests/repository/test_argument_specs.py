"""A role's arguments: what it documents is what it has."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.parent for path in (ROOT / "roles").glob("*/meta"))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_argument_has_a_default_or_is_required(role):
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    options = specs["main"]["options"]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    optional = {name for name, option in options.items() if not option.get("required")}
    assert optional == set(defaults)
    assert all(name.startswith(f"{role.name}_") for name in options)
    assert all(option["description"].endswith(".") for option in options.values())


def test_every_role_is_looked_at():
    assert {path.parents[1] for path in (ROOT / "roles").glob("*/tasks/main.yml")} == set(ROLES)
