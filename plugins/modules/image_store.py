#!/usr/bin/python
"""Gather a host's machine type and the free disk space for container images."""

import os
import pathlib

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: image_store
short_description: Gather the machine type of a host, and the free disk space for its images
description:
  - Without O(folder), asks Docker for its folder of images. If Docker does not answer, RV(problem)
    says why; the module does not fail.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  folder:
    description: The folder with the images.
    type: path
"""

EXAMPLES = r"""
- name: Gather the free disk space for Docker
  facefleet.facefleet.image_store:
  register: store
"""

RETURN = r"""
machine:
  description: The output of C(uname -m).
  returned: always
  type: str
problem:
  description: Why Docker did not answer. Empty if it did, or was not asked.
  returned: always
  type: str
free_bytes:
  description: Free disk space in the folder.
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
