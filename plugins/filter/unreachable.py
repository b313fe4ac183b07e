"""Explain why Ansible cannot manage a host, and what to do."""

import re

# Patterns for messages of ssh, each with its sentence. The first match counts.
CONNECTION = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for .* has changed",
        "The ssh host key of {address} has changed. If the host was reinstalled or replaced, "
        "remove the old key (ssh-keygen -R {address}). Otherwise do not connect, and find out "
        "which machine responds at this address.",
    ),
    (
        r"Host key verification failed|No .*host key is known",
        "This controller does not know the ssh host key of {address}: connect once by hand (ssh "
        "{address}) and compare the fingerprint.",
    ),
    (
        r"Permission denied|Authentication failed|Too many authentication|incorrect password",
        "{address} rejects this user and key: correct ansible_user, or add your public key to the "
        "host (ssh-copy-id).",
    ),
    (
        r"Could not resolve|Name or service not known|Temporary failure in name resolution",
        "The name {address} cannot be resolved: correct ansible_host, or the host's name in the "
        "inventory.",
    ),
    (
        r"Connection refused",
        "{address} refuses ssh connections: start its ssh server (systemctl start ssh), or correct "
        "ansible_port.",
    ),
    (
        r"unix_listener|ControlPath too long|cannot bind to path",
        "ssh cannot create its control socket on this controller: set "
        "ANSIBLE_SSH_CONTROL_PATH_DIR to a folder with a shorter path.",
    ),
)
SILENT = (
    "The host cannot be reached at {address} ({said}): check that it is on and that ansible_host "
    "is correct."
)
MODULES = (
    (
        r"(?i)sudo.*password|password is required|incorrect .*password",
        "sudo asks for a password: pass --ask-become-pass.",
    ),
    (
        r"(?i)not in the sudoers|may not run sudo|not allowed to execute|sudo: .*not found",
        "The user may not use sudo: allow it, or set ansible_user to a user who may.",
    ),
    (
        r"(?i)python\S*: (command )?not found|no python interpreters found|interpreter .*not found"
        r"|Python \S+ or newer|requires a minimum of Python|python\S*.*no such file",
        "Ansible needs Python 3.8 or later on the host: install it (apt-get install python3).",
    ),
    (
        r"(?i)no space left|Failed to create temporary directory",
        "Ansible cannot write to the host's disk: free some space.",
    ),
    (
        r"(?i)timed out",
        "The host's Python does not respond in time: check whether the host is overloaded or its "
        "disk is failing.",
    ),
)
NO_MODULE = (
    "The host's Python cannot run Ansible's modules ({said}): check ansible_python_interpreter and "
    "the host's disk."
)


def why_unreachable(result, address):
    """Return the sentence for a result that is unreachable, or failed before any module ran."""
    said = words(result)
    for pattern, sentence in CONNECTION:
        if re.search(pattern, said, re.IGNORECASE):
            return sentence.format(address=address)
    return SILENT.format(address=address, said=first_line(said))


def why_no_module(result):
    """Return the sentence for the first module that failed on a reachable host."""
    said = words(result)
    for pattern, sentence in MODULES:
        if re.search(pattern, said):
            return sentence
    return NO_MODULE.format(said=first_line(said))


def words(result):
    """Return all messages of an untrusted result as text."""
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
