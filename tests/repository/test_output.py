"""What a run of ansible-playbook shows with the settings of ansible.cfg."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
INCLUDED = """
- name: Change something that was included
  ansible.builtin.debug:
    msg: a change
  changed_when: true
"""
PLAYS = """
- name: Read the settings
  hosts: all
  gather_facts: false
  tasks: &settings
    - name: Check a setting
      ansible.builtin.assert:
        that: true
- name: Skip everything
  hosts: all
  gather_facts: false
  tasks:
    - name: Skip a task
      ansible.builtin.fail:
      when: false
- name: Read the settings
  hosts: all
  gather_facts: false
  tasks: *settings
- name: Match no host
  hosts: nowhere
- name: Change the hosts
  hosts: all
  gather_facts: false
  tasks:
    - name: Include the changes
      ansible.builtin.include_tasks: included.yml
- name: Read the settings
  hosts: all
  gather_facts: false
  tasks:
    - name: Report what was read
      ansible.builtin.debug:
        msg: all of it
"""
SHOWN = """
PLAY [Read the settings]
PLAY [Change the hosts]
TASK [Change something that was included]
changed: [one] =>
    msg: a change
PLAY [Read the settings]
TASK [Report what was read]
ok: [one] =>
    msg: all of it
PLAY RECAP
""".strip()


def run(folder, **environment):
    (folder / "included.yml").write_text(INCLUDED)
    (folder / "site.yml").write_text(PLAYS)
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            *("--inventory", "one,", "--connection", "local", folder / "site.yml"),
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [re.sub(r" \*+$", "", line.rstrip()) for line in done.stdout.splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("one "))


def test_only_what_a_run_did_or_says_is_shown(tmp_path):
    assert run(tmp_path) == SHOWN


def test_on_demand_every_task_is_shown(tmp_path):
    shown = run(tmp_path, ANSIBLE_DISPLAY_OK_HOSTS="true")
    assert shown.count("TASK [Check a setting]") == shown.count("PLAY [Read the settings]") - 1 == 2
    assert "included" not in shown.replace("Change something that was included", "")
