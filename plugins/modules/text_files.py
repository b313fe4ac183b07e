#!/usr/bin/python
"""Write several small files."""

import pathlib

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: text_files
short_description: Write several small files
description:
  - Like C(ansible.builtin.copy) with C(content), whose loop would need several modules on the host
    for each file.
author: The facefleet authors
extends_documentation_fragment:
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
options:
  files:
    description: The text of each file, by its path. The folders exist.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Install a certificate with its authority
  facefleet.facefleet.text_files:
    files:
      /etc/facefleet/pki/forwarder/tls.crt: "{{ certificate }}"
      /etc/facefleet/pki/forwarder/ca.crt: "{{ authority }}"
    mode: "0600"
"""


def main():
    module = AnsibleModule(
        argument_spec={"files": {"type": "dict", "required": True}},
        add_file_common_args=True,
        supports_check_mode=True,
    )
    changed = False
    for path, text in module.params["files"].items():
        changed |= write(module, pathlib.Path(path), text.encode())
    module.exit_json(changed=changed)


def write(module, path, content):
    """Give a file its content and mode. Return whether anything changed."""
    changed = not path.exists() or path.read_bytes() != content
    if changed and not module.check_mode:
        partial = pathlib.Path(module.tmpdir, path.name)
        partial.write_bytes(content)
        module.atomic_move(str(partial), str(path))
    if path.exists():
        attributes = module.load_file_common_arguments(module.params, path=str(path))
        changed = module.set_fs_attributes_if_different(attributes, changed)
    return changed


if __name__ == "__main__":
    main()
