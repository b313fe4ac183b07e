"""Playbooks run from any folder, without this checkout's ansible.cfg.

Ansible ignores that file if the checkout is writable by everyone.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
PLAYBOOKS = [ROOT / "site.yml", *sorted(ROOT.glob("playbooks/*.yml"))]


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_roles_and_plugins_are_found(tmp_path, playbook):
    environment = {name: value for name, value in os.environ.items() if "ANSIBLE" not in name}
    environment["ANSIBLE_ROLES_PATH"] = "/nowhere"
    command = [ANSIBLE, "--syntax-check", "--inventory", ROOT / "inventories/example", playbook]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
