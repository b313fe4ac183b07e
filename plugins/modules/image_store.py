#!/usr/bin/python
"""Gather a host's machine type and the free disk space for container images."""

import os
import pathlib

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: image_store
short_description: Gather the machine type of a host, and the disk that is free for its images
description:
  - Without a folder it asks Docker where it keeps images. That Docker does not answer is said,
    and no failure.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  folder:
    description: Where the images are kept.
    type: path
"""

EXAMPLES = r"""
- name: Gather the disk that is free for Docker
  facefleet.facefleet.image_store:
  register: store
"""

RETURN = r"""
machine:
  description: As C(uname -m) has it.
  returned: always
  type: str
problem:
  description: Why Docker did not say where it keeps images; empty where it did, or was not asked.
  returned: always
  type: str
free_bytes:
  description: What is free there.
  returned: when the folder is known
  type: int
"""


def free_bytes(folder):
    """Return the bytes free in `folder`, or where it would be created."""
    path = pathlib.Path(folder)
    while not path.exists():
        path = path.parent
    free = os.statvfs(str(path))
    return free.f_bavail * free.f_frsize


def docker_folder(module):
    """Return the folder where Docker keeps images, and why it is unknown."""
    program = module.get_bin_path("docker")
    if program is None:
        return "", "docker is not installed"
    command = [program, "info", "--format", "{{.DockerRootDir}}"]
    status, output, errors = module.run_command(command)
    if status != 0 or not output.strip():
        return "", errors.strip() or "docker info says nothing"
    return output.strip(), ""


def main():
    module = AnsibleModule(
        argument_spec={"folder": {"type": "path"}},
        supports_check_mode=True,
    )
    folder, problem = module.params["folder"], ""
    if not folder:
        folder, problem = docker_folder(module)
    machine = module.run_command(["uname", "-m"], check_rc=True)[1].strip()
    found = {"machine": machine, "problem": problem}
    if folder:
        found["free_bytes"] = free_bytes(folder)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
