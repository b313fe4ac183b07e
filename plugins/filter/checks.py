"""Small rules that checks of settings and files share."""

import difflib


def failed_checks(rows):
    """The messages of the rows that fail: `failed_when`, and `msg`, a sentence or a list of them.

    The message of a row that does not fail is not worked out.
    """
    found = [row["msg"] for row in rows if row["failed_when"]]
    return [text for msg in found for text in ([msg] if isinstance(msg, str) else msg)]


def duplicates(values):
    """Those that are in the list more than once, in its order."""
    return [value for value in dict.fromkeys(values) if values.count(value) > 1]


def invalid_ports(ports):
    """The names, of name to port, of those that cannot be a port."""
    return [name for name, port in ports.items() if not 1 <= number(port) <= 65535]


def unknown_settings(names, known):
    """A sentence for each name that is not a known setting, with the nearest that is."""
    bare = {name.partition("_")[2]: name for name in known}  # all have the same prefix
    said = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name.partition("_")[2], bare, n=1)
            advice = (
                f"did you mean {bare[near[0]]}?"
                if near
                else "remove it, or see roles/facefleet/defaults/main.yml."
            )
            said.append(f"Unknown variable {name}: {advice}")
    return said


def number(text):
    try:
        return int(text)
    except (TypeError, ValueError):
        return 0


def conflicting_environment(shell, settings):
    """The names, of what a shell sets, that settings do not set to the same value."""
    return [name for name, value in shell.items() if value and value != settings.get(name, "")]


def checksum_mismatches(results, checksums):
    """The files whose content is not what its checksum says.

    `results`: those of `ansible.builtin.stat` in a loop over files. `checksums`: by file.
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
            "invalid_ports": invalid_ports,
            "unknown_settings": unknown_settings,
        }
