"""Report the problems of hosts as a list of sentences, and what to do next."""

import re

MAX_LENGTH = 1000  # characters of a sentence, which may include text from a host
REPEAT = "Nothing was changed on any host. Fix these problems and run again"

TIMED_OUT = re.compile(r"(?:(?:Task|Module|Action) failed: )*Timed out after (\d+) second")
STUCK = (
    "The host stopped responding (no answer within {} s): check whether its Python or its disk "
    "hangs."
)


def problem_report(problems, hosts, limit=None):
    """Return the report on `problems`, sentences by host.

    `hosts`: all hosts of the play. `limit`: the user's --limit. A problem that several hosts share
    is reported once, and the advice stays within the user's --limit.
    """
    sharing = {}
    for host in hosts:
        for problem in problems.get(host, []):
            sharing.setdefault(readable(problem), []).append(host)
    sentences = [f"{named(names, hosts)}: {problem}" for problem, names in sharing.items()]
    rest = [host for host in hosts if not problems.get(host)]
    if not rest:
        return [*sentences, f"{REPEAT}."]
    bad = ",".join(f"!{host}" for host in hosts if problems.get(host))
    return [*sentences, f"{REPEAT}, or exclude hosts with --limit '{limit or 'all'},{bad}'."]


def problems_with_lost_hosts(problems, hosts):
    """Return problems by host, with a sentence for each lost host, one no longer in `hosts`."""
    lost = "The host failed or became unreachable: see the output above."
    return {host: found or ([] if host in hosts else [lost]) for host, found in problems.items()}


def removal_plan(hosts, found, unsent):
    """Return lines that say what a teardown removes.

    `found` and `unsent` are in the order of `hosts`: what a host reports to have, as text, and its
    faces that are not in the bucket yet.
    """
    lines = []
    for host, text, faces in zip(hosts, found, unsent, strict=True):
        lines += [f"From {host}: {readable(line)}" for line in text.splitlines()]
        lines += [f"From {host}, not in the bucket yet: {each}" for each in faces]
    return lines


def named(names, hosts):
    names = list(dict.fromkeys(names))
    return "Every host" if len(names) > 1 and len(names) == len(hosts) else ", ".join(names)


def readable(words):
    """Return text on one line, truncated, and without control characters for the terminal."""
    if timed_out := TIMED_OUT.match(str(words)):
        return STUCK.format(timed_out[1])
    text = " ".join("".join(c if c.isprintable() else " " for c in str(words)).split())
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}..."


class FilterModule:
    def filters(self):
        return {
            "problem_report": problem_report,
            "problems_with_lost_hosts": problems_with_lost_hosts,
            "readable": readable,
            "removal_plan": removal_plan,
        }
