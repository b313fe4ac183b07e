"""Fail with a list of sentences; implemented in plugins/action/report_problems.py."""

DOCUMENTATION = r"""
module: report_problems
short_description: Fail with a list of sentences, shown once
description:
  - Fails with one sentence per line. M(ansible.builtin.fail) shows a message of several lines
    twice.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  sentences:
    description: The problems, one sentence each.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Report all problems
  facefleet.facefleet.report_problems:
    sentences:
      - "edge-1: The disk is full. Free at least 2 GB."
  run_once: true
"""

RETURN = r"""
msg:
  description: The sentences, one per line.
  returned: always
  type: str
"""
