"""Render templates of a role without copying all variables for each of them."""

from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

DOCUMENTATION = """
name: facefleet_templates
author: the facefleet authors
short_description: Templated files
description:
  - Returns the text of each template, like C(ansible.builtin.template). That lookup copies all
    variables for each file, which took most of the time for planning a host.
  - Templates can use the variables of the task, but neither C(ansible_managed) nor
    C(template_path) and similar ones, and cannot include other templates.
options:
  _terms:
    description: Paths of templates, or their names in the templates folder of the role.
"""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [self._rendered(name, variables) for name in terms]

    def _rendered(self, name, variables):
        path = self.find_file_in_search_path(variables, "templates", name)
        if not path:
            raise AnsibleError(f"Template {name} does not exist: correct its name.")
        template = trust_as_template(Path(path).read_text(encoding="utf-8"))
        return self._templar.template(template, escape_backslashes=False)
