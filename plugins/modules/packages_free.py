#!/usr/bin/python
"""Wait until no other process installs packages."""

import fcntl
import os
import pathlib
import struct
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: packages_free
short_description: Wait until no other process installs packages
description:
  - At the first boot of a machine, cloud-init sets it up and unattended-upgrades updates it.
    Modules that need a lock of apt or dpkg wait for these in different ways, or not at all.
  - Waits until cloud-init has ended and no process has a lock. If that takes too long, fails with a
    sentence that names the process.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  timeout:
    description: Seconds to wait.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Wait for apt and dpkg
  facefleet.facefleet.packages_free:
    timeout: 600
"""

LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
FLOCK = "hhqqi"  # struct flock of fcntl(2): type, whence, start, length, process


def holder(path):
    """Return the process that has locked a file, or None."""
    try:
        with path.open("rb+") as file:
            asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    except FileNotFoundError:
        return None
    kind, _, _, _, process = struct.unpack(FLOCK, answer)
    return None if kind == fcntl.F_UNLCK else process


def busy(root="/"):
    """Describe the process to wait for, as a part of a sentence, or return None."""
    root = pathlib.Path(root)
    cloud_init = root / "run/cloud-init"
    if (cloud_init / "enabled").exists() and not (cloud_init / "result.json").exists():
        return "cloud-init is still setting up this machine"
    for lock in LOCKS:
        process = holder(root / lock.lstrip("/"))
        if process is not None:
            try:
                name = pathlib.Path(f"/proc/{process}/comm").read_text().strip()
            except OSError:
                name = "a process"
            return f"{name} (process {process}) still holds {lock}"
    return None


def main():
    module = AnsibleModule(
        argument_spec={"timeout": {"type": "int", "required": True}},
        supports_check_mode=True,
    )
    end = time.monotonic() + module.params["timeout"]
    while True:
        said = busy()
        if not said:
            module.exit_json(changed=False)
        if time.monotonic() > end:
            break
        time.sleep(1)
    module.fail_json(
        msg=f"Packages cannot be installed: after {module.params['timeout']} s, {said}. Wait until "
        "it has ended (`ps`, `cloud-init status`), then run this again."
    )


if __name__ == "__main__":
    main()
