"""Fail with a text of several lines, which is shown once.

`ansible.builtin.fail` would show it twice: in the error, and in the result of the task.
"""

from ansible.errors import AnsibleAction
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = False
    _VALID_ARGS = frozenset(("sentences",))

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        sentences = self._task.args["sentences"]
        raise AnsibleAction(
            "Problems were found: see msg.",
            result={"failed": True, "msg": "\n".join(map(str, sentences))},
        )
