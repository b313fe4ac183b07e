"""See whether a host is reached, without a failure or a line of output where it is not.

Needs no Python there. `reached` says it, and `msg` what the connection said.
"""

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _supports_check_mode = True
    _VALID_ARGS = frozenset()

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        try:
            ran = self._low_level_execute_command(":", sudoable=False)
        except AnsibleConnectionFailure as error:
            return {"changed": False, "reached": False, "msg": str(error)}
        said = f"{ran['stderr']}\n{ran['stdout']}".strip()
        return {"changed": False, "reached": ran["rc"] == 0, "msg": said}
