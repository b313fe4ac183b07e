#!/usr/bin/python
"""Check that the maximum size of a host's outboxes fits its disk."""

import os
import pathlib
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: disk_budget
short_description: Check that the maximum size of a host's outboxes fits its disk
description:
  - Fails if the maximum size of the outboxes, the space for other software and the reserve are
    together more than the free disk space plus the space that the outboxes use already.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  folder:
    description: The folder of the outboxes. It need not exist yet.
    type: path
    required: true
  pattern:
    description: The pattern of the outbox files below O(folder).
    type: str
    required: true
  cameras:
    description: Number of cameras. Each has an outbox.
    type: int
    required: true
  max_bytes:
    description: The maximum size of an outbox, such as C(20GiB).
    type: str
    required: true
  others:
    description: Bytes for software that is yet to be installed, if O(folder) does not exist yet.
    type: int
    default: 0
  reserve:
    description: Bytes that must stay free.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Check that two outboxes of 20 GiB fit the disk
  facefleet.facefleet.disk_budget:
    folder: /var/lib/rancher/k3s/storage
    pattern: "*/outbox-*.sqlite*"
    cameras: 2
    max_bytes: 20GiB
    reserve: 536870912
"""

UNITS = {
    f"{prefix}{binary}": (1024 if binary else 1000) ** power
    for power, prefix in enumerate(("", "K", "M", "G", "T"))
    for binary in ("", "i")
}


def size(text):
    """Return the bytes of `20GiB`, `20 GB` or `20`, as the services parse them."""
    number, unit = re.fullmatch(r"([0-9]+) ?([KMGT]?i?)B?", text).groups()
    return int(number) * UNITS[unit]


def shown(number):
    """Format bytes as a setting, rounded down."""
    for unit in ("TiB", "GiB", "MiB"):
        whole = number / UNITS[unit[:-1]]
        if whole >= 10 or (unit == "MiB" and whole >= 1):
            return f"{int(whole)}{unit}"
    return f"{number} bytes"


def problem(max_bytes, cameras, room, others, reserve):
    """Return a sentence if the outboxes do not fit into `room`, else None."""
    left = room - others - reserve
    bound = size(max_bytes)
    if not cameras or bound * cameras <= left:
        return None
    advice = (
        f"set facefleet_outbox_max_size to {shown(left // cameras)} or less"
        if left // cameras >= UNITS["Mi"]
        else f"free at least {shown(bound * cameras - left)}"
    )
    wanted = f"{shown(bound * cameras)} for {cameras} {'camera' if cameras == 1 else 'cameras'}"
    besides = f"{shown(others)} for software yet to be installed and " if others else ""
    return (
        f"facefleet_outbox_max_size is {max_bytes}, which is {wanted}. With {besides}"
        f"{shown(reserve)} that must stay free, this is more than the {shown(room)} of free disk "
        f"space on this host: {advice}."
    )


def disk_room(folder, pattern):
    """Return the bytes free for outboxes at `folder`, and the bytes that they use already."""
    taken = sum(path.stat().st_size for path in folder.glob(pattern))
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(str(folder))
    return disk.f_bavail * disk.f_frsize + taken


def main():
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "pattern": {"type": "str", "required": True},
            "cameras": {"type": "int", "required": True},
            "max_bytes": {"type": "str", "required": True},
            "others": {"type": "int", "default": 0},
            "reserve": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    folder = pathlib.Path(params.pop("folder"))
    if folder.exists():
        params["others"] = 0
    room = disk_room(folder, params.pop("pattern"))
    said = problem(room=room, **params)
    if said:
        module.fail_json(msg=said)
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
