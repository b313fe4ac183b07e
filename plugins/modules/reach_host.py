"""Check whether a host can be reached; implemented in plugins/action/reach_host.py."""

DOCUMENTATION = r"""
module: reach_host
short_description: Check whether a host can be reached
description:
  - Opens a connection and runs the empty command. The host needs no Python.
  - Does not fail if the host cannot be reached.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options: {}
"""

EXAMPLES = r"""
- name: Open a connection
  facefleet.facefleet.reach_host:
  register: contact
"""

RETURN = r"""
reached:
  description: Whether the host ran the command.
  returned: always
  type: bool
msg:
  description: The error of the connection, or what the host printed.
  returned: always
  type: str
"""
