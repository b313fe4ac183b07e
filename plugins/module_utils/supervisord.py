"""Access to a supervisord through its API."""

import contextlib
import os
import pathlib
import re
import xmlrpc.client

from ansible_collections.facefleet.facefleet.plugins.module_utils.host import (
    lineage,
    listener_pid,
    port_in_use_message,
)

STILL_RUNNING = 91  # supervisord's code


class PortTakenError(Exception):
    """A process of another supervisord, or of none, uses the port; the message says which."""


def connect(directory):
    """Return the supervisord's API."""
    from supervisor.xmlrpc import SupervisorTransport

    text = (directory / "supervisord.conf").read_text()
    address = re.search(r"^serverurl = (.+)$", text, re.MULTILINE).group(1)
    transport = SupervisorTransport(None, None, serverurl=address)
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor


def holding_program(supervisord, port, directory, port_variable):
    """Return the name of the program on the port; None if the port is free, "" if unknown.

    Raises PortTakenError.
    """
    pid = listener_pid(port)
    if pid is None:
        return None
    if supervisord is not None:
        programs = {each["pid"]: each["name"] for each in supervisord.getAllProcessInfo()}
        for process in lineage(pid):
            if process in programs:
                return programs[process]
    with contextlib.suppress(OSError):
        environment = pathlib.Path("/proc", str(pid), "environ").read_bytes()
        if os.fsencode(f"SUPERVISED_BY_FACEFLEET={directory}") in environment.split(b"\0"):
            return ""  # it is about to end
    raise PortTakenError(port_in_use_message(port, pid, port_variable))


def remove(supervisord, name):
    """Stop a program and remove it from supervisord."""
    while True:
        supervisord.stopProcessGroup(name)
        try:
            supervisord.removeProcessGroup(name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != STILL_RUNNING:  # it was being restarted: try again
                raise
        else:
            return
