"""The templates of a role, without a copy of all variables for each."""

from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

DOCUMENTATION = """
name: facefleet_templates
author: the facefleet authors
short_description: Templated files
description:
  - The text of each template, as C(ansible.builtin.template) gives it. That one copies all
    variables for each file, which was most of what the plan of a host took.
  - A template knows the variables of the task. It has neither C(template_path) and the like nor
    C(ansible_managed), and includes no other.
options:
  _terms:
    description: The templates, by their paths or by their names in the folder of the role.
"""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [self._rendered(name, variables) for name in terms]

    def _rendered(self, name, variables):
        path = self.find_file_in_search_path(variables, "templates", name)
        if not path:
            raise AnsibleError(f"There is no template {name}.")
        template = trust_as_template(Path(path).read_text(encoding="utf-8"))
        return self._templar.template(template, escape_backslashes=False)
