#!/usr/bin/python
"""Check that the maximum size of a host's outboxes fits its disk."""

import os
import pathlib
import re

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: disk_budget
short_description: Check that what the outboxes of a host may take fits its disk
description:
  - Fails with a sentence where the outboxes at their bound, what else needs room, and what must
    stay free are together more than is free now, counting what the outboxes take already.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  folder:
    description: Where the outboxes are, or will be.
    type: path
    required: true
  pattern:
    description: What the outboxes are called below it.
    type: str
    required: true
  cameras:
    description: How many there are; each has an outbox.
    type: int
    required: true
  max_bytes:
    description: The bound of an outbox, as C(20GiB).
    type: str
    required: true
  others:
    description: Bytes that what is yet to be installed takes, where there is no C(folder) yet.
    type: int
    default: 0
  reserve:
    description: Bytes that stay free.
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
        else f"free at least {shown(bound * cameras - left)} of it"
    )
    wanted = f"{shown(bound * cameras)} for {cameras} {'camera' if cameras == 1 else 'cameras'}"
    besides = f"{shown(others)} for what is yet to be installed and " if others else ""
    return (
        f"facefleet_outbox_max_size is {max_bytes}, that is {wanted}; with {besides}"
        f"{shown(reserve)} that must stay free, it is more than the {shown(room)} on the "
        f"disk of this host: {advice}."
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
