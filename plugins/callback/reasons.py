"""Write why the hosts of a run failed, as readable lines: each reason once, with its hosts.

Only a host's last failure counts, since earlier ones were rescued.
"""

import os
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: reasons
type: aggregate
short_description: Write why hosts failed to a file
description: Writes text to the file that the environment variable REASONS_FILE names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "reasons"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._reasons = {}
        self._reports = {}

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if ignore_errors:
            return
        host = result.host.get_name()
        said = [text.strip() for text in sentences(result.result)]
        # A report covers all hosts, and names them itself.
        is_report = result.task.action.rpartition(".")[2] == "report_problems"
        self._reports[host] = said if is_report else []
        self._reasons[host] = [] if is_report else said

    def v2_runner_on_unreachable(self, result):
        self.v2_runner_on_failed(result)

    def v2_playbook_on_stats(self, stats):
        hosts, lines = {}, {}
        for host in {**stats.failures, **stats.dark}:
            lines |= dict.fromkeys(self._reports.get(host, []))
            for text in self._reasons.get(host, []):
                hosts.setdefault(text, []).append(host)
        found = [*lines, *(f"{', '.join(sorted(of))}: {text}" for text, of in hosts.items())]
        Path(os.environ["REASONS_FILE"]).write_text("\n".join(found))


def sentences(result):
    """Return a task's message, or the messages of its failed items."""
    failed = [item for item in result.get("results", []) if item.get("failed")]
    if failed:
        return [sentence for item in failed for sentence in sentences(item)]
    message = result.get("msg", "no reason was given")
    return [str(text) for text in (message if isinstance(message, list) else [message])]
