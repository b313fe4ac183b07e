"""Reduce Ansible's default output to changes, failures and messages of debug tasks."""

from ansible.constants import _ACTION_DEBUG
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

DOCUMENTATION = """
name: story
type: stdout
short_description: Ansible's default output without lines about includes and empty plays
description:
  - Like the callback C(default), but without lines for included files.
  - The header of a play is shown once a task runs. If a play of the same name was shown before,
    the header is shown only if output follows.
  - The message of a C(debug) task is shown even if C(display_ok_hosts) is off.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""


class CallbackModule(DefaultCallback):
    CALLBACK_NAME = "story"

    def __init__(self):
        super().__init__()
        self._shown = set()
        self._pending = None  # the play whose header is not shown yet

    def v2_playbook_on_play_start(self, play):
        self._play = self._pending = play

    def v2_playbook_on_no_hosts_matched(self):
        pass

    def v2_playbook_on_include(self, included_file):
        pass

    def v2_runner_on_ok(self, result):
        if isinstance(result.task, TaskInclude):
            return
        if self._pending and self._pending.get_name() not in self._shown:
            self._show_play()
        self._with_debug(super().v2_runner_on_ok, result)

    def v2_runner_item_on_ok(self, result):
        self._with_debug(super().v2_runner_item_on_ok, result)

    def _with_debug(self, show, result):
        """Show a result; a debug task's result even if it is just ok."""
        displayed = self.get_option("display_ok_hosts")
        is_debug = result.task.action in _ACTION_DEBUG
        self.set_option("display_ok_hosts", displayed or is_debug)
        show(result)
        self.set_option("display_ok_hosts", displayed)

    def _print_task_banner(self, task):
        self._show_play()
        super()._print_task_banner(task)

    def _show_play(self):
        if self._pending:
            play, self._pending = self._pending, None
            self._shown.add(play.get_name())
            super().v2_playbook_on_play_start(play)
