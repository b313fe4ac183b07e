"""Why the hosts of a run failed, as lines for a person: each reason once, with its hosts.

The last failure of a host counts: one that was rescued is no reason.
"""

import os
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: reasons
type: aggregate
short_description: Write down why hosts failed
description: Into the file that the environment variable REASONS_FILE names.
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
        # A report has the problems of all hosts, and names them itself.
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
    """Of a task's result: its message, or those of the items that failed."""
    failed = [item for item in result.get("results", []) if item.get("failed")]
    if failed:
        return [sentence for item in failed for sentence in sentences(item)]
    message = result.get("msg", "no reason was given")
    return [str(one) for one in (message if isinstance(message, list) else [message])]
