#!/usr/bin/python
"""Create the keys of certificates, and the requests to sign them."""

import pathlib

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: certificate_requests
short_description: Create the keys of certificates, and the requests to sign them
description:
  - Each key is created where it is used, with the host's C(openssl), and stays there.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  certificates:
    description: The certificates, as in C(pki_certificates) of the role C(pki).
    type: list
    elements: dict
    required: true
    options:
      folder:
        description: The folder of the key.
        type: path
        required: true
      name:
        description: The name to certify.
        type: str
        required: true
      usage:
        description: What the certificate may be used for, C(clientAuth) or C(serverAuth).
        type: str
        required: true
      addresses:
        description: The addresses of a server, such as C(DNS:broker) or C(IP:192.0.2.1).
        type: list
        elements: str
        default: []
  group:
    description: The group that may also read the folders; empty for none.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Create the key of a device
  facefleet.facefleet.certificate_requests:
    certificates:
      - {folder: /etc/facefleet/pki/forwarder, name: edge-1, usage: clientAuth}
  register: created
"""

RETURN = r"""
requests:
  description: The request for each certificate, in PEM. Empty in a dry run without a key.
  type: list
  elements: str
"""

CERTIFICATE = {
    "folder": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "usage": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
}


def main():
    module = AnsibleModule(
        argument_spec={
            "certificates": {
                "type": "list",
                "elements": "dict",
                "options": CERTIFICATE,
                "required": True,
            },
            "group": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    changed = False
    requests = []
    for certificate in module.params["certificates"]:
        key = pathlib.Path(certificate["folder"], "tls.key")
        changed |= create_folder(module, key.parent)
        changed |= create_key(module, key)
        requests.append(request(module, key, certificate) if key.exists() else "")
    module.exit_json(changed=changed, requests=requests)


def create_folder(module, folder):
    """Create the folder and its parents, and set its mode. Return whether anything changed."""
    mode = "0750" if module.params["group"] else "0700"
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        if not module.check_mode:
            path.mkdir()
            set_mode(module, path, mode, True)
    return set_mode(module, folder, mode, bool(missing))


def create_key(module, key):
    """Create the key if it is missing, and set its mode. Return whether anything changed."""
    missing = not key.exists()
    if missing and not module.check_mode:
        partial = pathlib.Path(module.tmpdir, "tls.key")
        curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        module.run_command(["openssl", "genpkey", *curve, "-out", str(partial)], check_rc=True)
        module.atomic_move(str(partial), str(key))
    return set_mode(module, key, "0640" if module.params["group"] else "0600", missing)


def set_mode(module, path, mode, changed):
    if not path.exists():  # in a dry run
        return changed
    wanted = {"mode": mode, "group": module.params["group"] or None, "owner": None}
    arguments = module.load_file_common_arguments(wanted, path=str(path))
    return module.set_fs_attributes_if_different(arguments, changed)


def request(module, key, certificate):
    """Return a request for the certificate, in PEM."""
    command = ["openssl", "req", "-new", "-key", str(key), "-config", "/dev/stdin"]
    return module.run_command(command, data=configuration(certificate), check_rc=True)[1]


def configuration(certificate):
    """Return the configuration of openssl for a request."""
    lines = [
        *("[req]", "prompt = no", "distinguished_name = name", "req_extensions = asked"),
        *("[name]", f"CN = {certificate['name']}"),
        *("[asked]", "basicConstraints = critical, CA:FALSE"),
        *("keyUsage = critical, digitalSignature", f"extendedKeyUsage = {certificate['usage']}"),
    ]
    if certificate["addresses"]:
        lines.append(f"subjectAltName = {', '.join(certificate['addresses'])}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
