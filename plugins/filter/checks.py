"""Rules shared by checks of settings and files."""

import json
import os

LOCAL_SCENARIO = (
    "The scenario would change this machine itself: remove ansible_connection from its inventory."
)


def failed_checks(rows):
    """The messages of the rows that fail: `failed_when`, and `msg`, a sentence or a list of them.

    The message of a row that does not fail is not worked out.
    """
    found = [row["msg"] for row in rows if row["failed_when"]]
    return [text for msg in found for text in ([msg] if isinstance(msg, str) else msg)]


def failed_host_checks(rows, connection):
    """The same, for a role that changes the host which this connection leads to.

    Molecule's scenarios have hosts of their own: there, none changes this machine.
    """
    local_scenario = connection == "local" and "MOLECULE_FILE" in os.environ
    return [LOCAL_SCENARIO] * local_scenario + failed_checks(rows)


def duplicates(values):
    """Return the values that occur more than once, in order."""
    return [value for value in dict.fromkeys(values) if values.count(value) > 1]


def invalid_ports(ports):
    """Return the names of invalid ports; `ports`: by name."""
    return [name for name, port in ports.items() if not 1 <= number(port) <= 65535]


def number(text):
    try:
        return int(text)
    except (TypeError, ValueError):
        return 0


def is_json_object(text):
    """Whether a file of this text has the options of a program; an empty one has none."""
    try:
        return not text.strip() or isinstance(json.loads(text), dict)
    except ValueError:
        return False


def conflicting_environment(shell, settings):
    """Return the variables of a shell to which the settings give another value."""
    return [name for name, value in shell.items() if value and value != settings.get(name, "")]


def checksum_mismatches(results, checksums):
    """Return the files whose content does not match its checksum.

    `results`: of `ansible.builtin.stat` in a loop over files. `checksums`: by file.
    """
    return [
        result["item"]
        for result in results
        if result["stat"].get("checksum") != checksums.get(result["item"])
        or not checksums.get(result["item"])
    ]


class FilterModule:
    def filters(self):
        return {
            "checksum_mismatches": checksum_mismatches,
            "conflicting_environment": conflicting_environment,
            "duplicates": duplicates,
            "failed_checks": failed_checks,
            "failed_host_checks": failed_host_checks,
            "invalid_ports": invalid_ports,
            "is_json_object": is_json_object,
        }
