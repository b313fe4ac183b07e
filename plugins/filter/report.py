"""What is wrong with hosts, as a list of sentences, and what to do next."""

import re

LONGEST = 1000  # characters of a sentence; some of it may be a host's own words
REPEAT = "Nothing was changed on any host. Mend this and run it again"

TIMED_OUT = re.compile(r"(?:(?:Task|Module|Action) failed: )*Timed out after (\d+) second")
STUCK = "It answered at first, and then not within {} s: see whether its Python or its disk hangs."


def problem_report(problems, hosts, limit=None):
    """`problems`: host to sentences. `hosts`: all hosts of the play. `limit`: the user's --limit.

    What several hosts share is said once, and the advice stays within what the user asked for.
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
    return [*sentences, f"{REPEAT}, or leave hosts out by --limit '{limit or 'all'},{bad}'."]


def problems_with_lost_hosts(problems, hosts):
    """Host to problems, with a sentence for each that has none and is not in `hosts` any more."""
    return {
        host: said or ([] if host in hosts else ["It was lost on the way: see above."])
        for host, said in problems.items()
    }


def removal_plan(hosts, found, unsent):
    """What a teardown removes, a line each.

    `found` and `unsent` are in the order of `hosts`: what a host says that it has, as text, and
    the faces that are not in the bucket.
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
    """Words on one line, without what a terminal would take for a command, and not endless."""
    if timed_out := TIMED_OUT.match(str(words)):
        return STUCK.format(timed_out[1])
    text = " ".join("".join(c if c.isprintable() else " " for c in str(words)).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class FilterModule:
    def filters(self):
        return {
            "problem_report": problem_report,
            "problems_with_lost_hosts": problems_with_lost_hosts,
            "readable": readable,
            "removal_plan": removal_plan,
        }
