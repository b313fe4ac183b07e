"""Why Ansible cannot work on a host, by cause, with what to do."""

import re

# What ssh's or sudo's words match, and what is said of it. The first counts.
CONNECTION = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed",
        "The ssh key of {address} is not the one that this controller knows. If the host was "
        "reinstalled or replaced, forget the former key (ssh-keygen -R {address}); otherwise do "
        "not connect, and find out who answers there.",
    ),
    (
        r"Host key verification failed|No .*host key is known",
        "This controller does not know the ssh key of {address}: connect once by hand (ssh "
        "{address}) and compare the fingerprint.",
    ),
    (
        r"Permission denied|Authentication failed|Too many authentication|incorrect password",
        "{address} lets nobody in by this user and key: correct ansible_user, or add your public "
        "key there (ssh-copy-id).",
    ),
    (
        r"Could not resolve|Name or service not known|Temporary failure in name resolution",
        "The name {address} has no address: correct ansible_host, or the host's name in the "
        "inventory.",
    ),
    (
        r"Connection refused",
        "{address} is on, and no ssh server answers there: start it (systemctl start ssh), or "
        "correct ansible_port.",
    ),
    (
        r"unix_listener|ControlPath too long|cannot bind to path",
        "ssh cannot make its socket on this controller: set ANSIBLE_SSH_CONTROL_PATH_DIR to a "
        "shorter folder.",
    ),
)
SILENT = (
    "It cannot be reached at {address} ({said}): see that it is on and that ansible_host is right."
)
MODULES = (
    (
        r"(?i)sudo.*password|password is required|incorrect .*password",
        "sudo asks for a password: give it by --ask-become-pass.",
    ),
    (
        r"(?i)not in the sudoers|may not run sudo|not allowed to execute|sudo: .*not found",
        "The user may not use sudo: allow it, or set ansible_user to one who may.",
    ),
    (
        r"(?i)python\S*: (command )?not found|no python interpreters found|interpreter .*not found"
        r"|Python \S+ or newer|requires a minimum of Python|python\S*.*no such file",
        "Ansible needs Python 3.8 or later there: install it (apt-get install python3).",
    ),
    (
        r"(?i)no space left|Failed to create temporary directory",
        "Ansible cannot write there: free some disk.",
    ),
    (
        r"(?i)timed out",
        "Its Python does not answer in time: see whether the host is overloaded, or its disk "
        "failing.",
    ),
)
NO_MODULE = (
    "Its Python does not run Ansible's modules ({said}): see ansible_python_interpreter, and the "
    "host's disk."
)


def why_unreachable(result, address):
    """The sentence for a task's result that is unreachable, or failed before any module ran."""
    said = words(result)
    for pattern, sentence in CONNECTION:
        if re.search(pattern, said, re.IGNORECASE):
            return sentence.format(address=address)
    return SILENT.format(address=address, said=first_line(said))


def why_no_module(result):
    """The sentence for the first module that failed on a host that is reached."""
    said = words(result)
    for pattern, sentence in MODULES:
        if re.search(pattern, said):
            return sentence
    return NO_MODULE.format(said=first_line(said))


def words(result):
    """All that a result says, as text; a host may return anything."""
    keys = ("msg", "module_stderr", "stderr", "module_stdout")
    parts = (str(result.get(key) or "")[:20000] for key in keys)
    return "\n".join(part for part in parts if part)


def first_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = re.sub(r"^((Task|Module|Action) failed: )+", "", lines[0]) if lines else "no reason"
    return "".join(c if c.isprintable() else " " for c in said)[:300].rstrip(". ")


class FilterModule:
    def filters(self):
        return {"why_unreachable": why_unreachable, "why_no_module": why_no_module}
