"""Find the folder of this checkout, regardless of the working directory and the roles path."""

from pathlib import Path

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: facefleet_checkout
author: the facefleet authors
short_description: The folder of this checkout
description:
  - The folder that contains the roles, the playbooks and the app.
options: {}
"""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [str(Path(__file__).resolve().parents[2])]
