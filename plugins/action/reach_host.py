"""Check whether a host can be reached, without failing or printing anything if it cannot.

Needs no Python on the host. Returns the result as `reached`, and the connection's output as `msg`.
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
        output = f"{ran['stderr']}\n{ran['stdout']}".strip()
        return {"changed": False, "reached": ran["rc"] == 0, "msg": output}
