#!/usr/bin/python
"""Run one service under a supervisord and wait until it is ready."""

import contextlib
import pathlib
import time
import urllib.parse
import xmlrpc.client

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.facefleet.facefleet.plugins.module_utils.host import (
    ServiceError,
    readiness_problem,
)
from ansible_collections.facefleet.facefleet.plugins.module_utils.supervisord import (
    PortTakenError,
    connect,
    holding_program,
    remove,
)

DOCUMENTATION = r"""
module: supervisord_program
short_description: Run one service under a supervisord and wait until it is ready
description:
  - Writes the program's files, has supervisord apply the changes of this program only, starts it if
    it is stopped, and waits until it is ready.
  - Fails at once if another process uses the port, or if the program exits repeatedly.
  - The program is ready only when its own process answers. If another program of this supervisord
    still uses the port, that program is stopped. It is started again if this one does not become
    ready.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  directory:
    description: The supervisord's folder, with its C(supervisord.conf) and C(programs/).
    type: path
    required: true
  name:
    description: The program's name.
    type: str
    required: true
  program:
    description: Text of C(programs/<name>.ini).
    type: str
    required: true
  files:
    description: >-
      Files of C(programs/<name>/), name to text. Never shown, because they contain secrets.
    type: dict
    required: true
  ready_url:
    description: An http address that answers 200 when the program is ready, or C(tcp://host:port).
    type: str
    required: true
  port_variable:
    description: Name of the variable to suggest changing if the port is already in use.
    type: str
    required: true
  timeout:
    description: Seconds to wait.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Start the logger
  facefleet.facefleet.supervisord_program:
    directory: /srv/fleet/edge-1
    name: logger
    program: "{{ lookup('ansible.builtin.template', 'program.ini.j2') }}"
    files: {}
    ready_url: http://127.0.0.1:31901/readyz
    port_variable: facefleet_base_port
"""

QUICK_ENDS = 3  # a service that exits this often at its start has failed


def info(supervisord, name):
    """Return supervisord's information about a program, or None."""
    try:
        return supervisord.getProcessInfo(name)
    except (xmlrpc.client.Fault, OSError):
        return None


def write(path, text):
    """Write a file atomically that only its owner can read."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def apply(supervisord, name):
    """Have supervisord reload and apply this program's changes. Return whether there were any."""
    added, changed, _ = supervisord.reloadConfig()[0]
    if name in changed:
        remove(supervisord, name)
    if name in changed or name in added:
        supervisord.addProcessGroup(name)
        return True
    if info(supervisord, name)["statename"] in ("STOPPED", "EXITED", "FATAL"):
        supervisord.startProcess(name, False)
        return True
    return False


def make_room(supervisord, name, holding):
    """Stop the program that uses another's port. Return its name, or None."""
    if not holding or holding == name:
        return None
    with contextlib.suppress(xmlrpc.client.Fault):  # it has just ended
        supervisord.stopProcess(holding)
    return holding


def give_back(supervisord, name, displaced):
    """Stop the program that did not become ready, and restart the one that used its port."""
    for act, program in ((supervisord.stopProcess, name), (supervisord.startProcess, displaced)):
        with contextlib.suppress(xmlrpc.client.Fault):  # it is in that state already
            act(program)


def await_ready(supervisord, params, directory, port):
    """Wait for the service. Raises ServiceError if it is not ready in time, or has failed."""
    name = params["name"]
    deadline = time.monotonic() + params["timeout"]
    quick_ends = set()  # by their start
    while True:
        holding = holding_program(supervisord, port, directory, params["port_variable"])
        state = info(supervisord, name)
        if state["statename"] in ("BACKOFF", "FATAL"):
            quick_ends.add(state["start"])
        if state["statename"] == "FATAL" or len(quick_ends) == QUICK_ENDS:
            raise ServiceError(f"{name} exits as soon as it starts.")
        problem = readiness_problem(params["ready_url"])
        if problem is None and holding == name and state["statename"] in ("STARTING", "RUNNING"):
            return
        if time.monotonic() > deadline:
            if problem is None and holding != name:
                problem = f"{holding or 'another process'} answers on its port"
            problem = (problem or "it has only just become ready").rstrip(".")
            raise ServiceError(f"{name} is not ready after {params['timeout']} s: {problem}.")
        time.sleep(0.1)


def log_tail(path, lines=20):
    try:
        tail = path.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return "\n".join([f"Last lines of {path}:", *tail])


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "program": {"type": "str", "required": True},
            "files": {"type": "dict", "required": True, "no_log": True},
            "ready_url": {"type": "str", "required": True},
            "port_variable": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    name = params["name"]
    directory = pathlib.Path(params["directory"])
    port = urllib.parse.urlsplit(params["ready_url"]).port
    programs = directory / "programs"
    # The program's own file last: supervisord acts on it.
    files = {programs / name / file: text for file, text in params["files"].items()}
    files[programs / f"{name}.ini"] = params["program"]
    stale = {
        path: text for path, text in files.items() if not path.exists() or path.read_text() != text
    }
    supervisord = connect(directory) if (directory / "supervisord.conf").exists() else None
    displaced = None
    try:
        holding = holding_program(supervisord, port, directory, params["port_variable"])
        if module.check_mode:
            running = supervisord and (info(supervisord, name) or {}).get("statename")
            module.exit_json(changed=bool(stale) or running not in ("STARTING", "RUNNING"))
        for path, text in stale.items():
            write(path, text)
        displaced = make_room(supervisord, name, holding)
        changed = apply(supervisord, name)
        await_ready(supervisord, params, directory, port)
    except (ServiceError, PortTakenError) as problem:
        if displaced:
            give_back(supervisord, name, displaced)
        tail = "" if isinstance(problem, PortTakenError) else log_tail(directory / f"{name}.log")
        module.fail_json(msg=f"{problem}\n{tail}".strip())
    module.exit_json(changed=bool(stale) or changed)


if __name__ == "__main__":
    main()
