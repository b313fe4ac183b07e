"""Check whether a host can be reached; implemented in plugins/action/reach_host.py."""

DOCUMENTATION = r"""
module: reach_host
short_description: See whether a host can be reached
description:
  - Opens a connection and runs the empty command. The host needs no Python.
  - A host that cannot be reached is no failure, and prints nothing.
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
