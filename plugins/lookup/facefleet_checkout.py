"""The folder of this checkout, whatever folder a run starts in and however roles are found."""

from pathlib import Path

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: facefleet_checkout
author: the facefleet authors
short_description: The folder of this checkout
description:
  - The folder that has the roles, the playbooks and the app.
options: {}
"""


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [str(Path(__file__).resolve().parents[2])]
