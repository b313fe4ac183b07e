#!/usr/bin/python
"""Find ports of a supervisord's services that other processes use."""

import pathlib
import xmlrpc.client

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.facefleet.facefleet.plugins.module_utils.supervisord import (
    PortTakenError,
    connect,
    holding_program,
)

DOCUMENTATION = r"""
module: supervisord_ports
short_description: Find the ports of a supervisord's services that other processes use
description:
  - Returns C(problems), a sentence for each port that another process uses.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  directory:
    description: The supervisord's folder. It need not exist yet.
    type: path
    required: true
  ports:
    description: Each C(port), and the C(variable) to suggest changing if the port is in use.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Find the ports in use
  facefleet.facefleet.supervisord_ports:
    directory: /srv/fleet/edge-1
    ports:
      - {port: 31900, variable: facefleet_base_port}
  register: found
"""


def running(directory):
    """Return the supervisord's API, or None if it does not run."""
    if not (directory / "supervisord.conf").exists():
        return None
    supervisord = connect(directory)
    try:
        supervisord.getState()
    except (xmlrpc.client.Error, OSError):
        return None
    return supervisord


def port_problems(directory, ports):
    """Return a sentence for each port that another process uses."""
    supervisord = running(directory)
    found = []
    for each in ports:
        try:
            holding_program(supervisord, each["port"], directory, each["variable"])
        except PortTakenError as problem:
            found.append(str(problem))
    return found


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "ports": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    directory = pathlib.Path(module.params["directory"])
    module.exit_json(changed=False, problems=port_problems(directory, module.params["ports"]))


if __name__ == "__main__":
    main()
