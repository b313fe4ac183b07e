"""A supervisord by its API."""

import re
import xmlrpc.client

STILL_RUNNING = 91  # supervisord's code


def connect(directory):
    """The supervisord's API."""
    from supervisor.xmlrpc import SupervisorTransport

    text = (directory / "supervisord.conf").read_text()
    address = re.search(r"^serverurl = (.+)$", text, re.MULTILINE).group(1)
    transport = SupervisorTransport(None, None, serverurl=address)
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport).supervisor


def remove(supervisord, name):
    """Stop a program and have supervisord forget it."""
    while True:
        supervisord.stopProcessGroup(name)
        try:
            supervisord.removeProcessGroup(name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != STILL_RUNNING:  # it was being restarted just then: once more
                raise
        else:
            return
