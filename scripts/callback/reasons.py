"""Why the hosts of a run failed, as JSON for a program that shows it: {host: [sentence, ...]}.

The last failure of a host counts: one that was rescued is no reason.
"""

import json
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

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            said = sentences(result.result)
            if result.task.action == "report_problems":
                said = said[0].splitlines()
            self._reasons[result.host.get_name()] = said

    def v2_runner_on_unreachable(self, result):
        self.v2_runner_on_failed(result)

    def v2_playbook_on_stats(self, stats):
        failed = {**stats.failures, **stats.dark}
        found = {host: self._reasons[host] for host in failed if host in self._reasons}
        Path(os.environ["REASONS_FILE"]).write_text(json.dumps(found))


def sentences(result):
    """Of a task's result: its message, or those of the items that failed."""
    failed = [item for item in result.get("results", []) if item.get("failed")]
    if failed:
        return [sentence for item in failed for sentence in sentences(item)]
    message = result.get("msg", "no reason was given")
    return [str(one) for one in (message if isinstance(message, list) else [message])]
