#!/usr/bin/python
"""Stop services of a supervisord that are no longer in the inventory."""

import pathlib
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.facefleet.facefleet.plugins.module_utils.supervisord import connect, remove

DOCUMENTATION = r"""
module: supervisord_prune
short_description: Stop the services of a supervisord that the inventory no longer has
description:
  - Stops the programs that the module supervisord_program created for services that are not in
    O(keep), and removes their files.
  - Logs and outboxes are kept, because outboxes may hold faces.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  directory:
    description: The supervisord's folder, with its C(supervisord.conf) and C(programs/).
    type: path
    required: true
  keep:
    description: The names of the services to keep.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Stop all services but two
  facefleet.facefleet.supervisord_prune:
    directory: /srv/fleet/edge-1
    keep: [broker, forwarder]
"""


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "keep": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    directory = pathlib.Path(module.params["directory"])
    files = [
        path
        for path in sorted((directory / "programs").glob("*.ini"))
        if path.stem not in module.params["keep"]
    ]
    names = {path.stem for path in files}
    if not module.check_mode:
        for path in files:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink()
        supervisord = connect(directory)
        _, _, gone = supervisord.reloadConfig()[0]
        for name in gone:  # also those that an interrupted run has left
            remove(supervisord, name)
        names.update(gone)
    module.exit_json(changed=bool(names), deleted=sorted(names))


if __name__ == "__main__":
    main()
