"""Variables without an effect are refused: old names with the new one, and unknown names."""

import subprocess
from pathlib import Path

import facefleet_setting_names as names
import pytest
import yaml

from support.role_variables import ROLES

ROOT = ROLES.parent
KNOWN = {
    name
    for path in ROLES.glob("*/meta/argument_specs.yml")
    for name in yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
}


@pytest.mark.parametrize(("old", "new"), names.RENAMED.items())
def test_an_old_variable_is_refused_with_its_new_name(old, new):
    assert new in KNOWN
    assert old not in KNOWN
    assert names.renamed_settings([old], {}) == [f"{old} has been renamed: use {new}."]
    assert names.renamed_settings([new], {new: 1}) == []
    assert names.unknown_settings([old], [new]) == []


@pytest.mark.parametrize(("old", "new"), names.RENAMED_EXTRA_VARS.items())
def test_an_old_extra_var_is_refused_with_its_new_name(old, new):
    assert new in KNOWN
    assert names.renamed_settings([old], {old: 1}) == [f"-e {old} has been renamed: use -e {new}."]
    # In an inventory it may be a variable of other playbooks.
    assert names.renamed_settings([old], {}) == []


def test_no_file_uses_an_old_name():
    table = Path(names.__file__).relative_to(ROOT)
    others = [f":!{path}" for path in (table, "CHANGELOG.md", "tests/playbooks/test_preflight.py")]
    found = subprocess.run(
        ["git", "grep", "-nwE", "|".join(names.RENAMED), "--", *others],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.stdout == ""
    assert found.returncode == 1, found.stderr


def test_an_unknown_setting_is_named_with_the_nearest():
    known = ["facefleet_cameras", "facefleet_bucket", "facefleet_qos"]
    given = ["facefleet_camera", "facefleet_buckt", "facefleet_qos", "facefleet_zzzz", "other"]
    assert names.unknown_settings(given, known) == [
        "Unknown variable facefleet_camera: did you mean facefleet_cameras?",
        "Unknown variable facefleet_buckt: did you mean facefleet_bucket?",
        "Unknown variable facefleet_zzzz: remove it, or see roles/facefleet/defaults/main.yml.",
    ]
