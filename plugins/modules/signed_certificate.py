"""Sign a host's request on the controller; implemented in plugins/action/signed_certificate.py."""

DOCUMENTATION = r"""
module: signed_certificate
short_description: Sign a host's certificate request
description:
  - Runs on the controller, and uses only the public key of the host's request.
  - The inventory determines the names that a host may have. A device has its own name, the hosts of
    the group C(cloud) those of the broker, the processor and the gallery, and the controller
    (C(delegate_to=localhost)) that of the operator.
  - An existing certificate is kept until less than a third of its validity is left, or until the
    authority, the key or the addresses change.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  request:
    description: The host's request, in PEM.
    type: str
    required: true
  authority:
    description: The folder of the authority.
    type: path
    required: true
  password:
    description: The password of the authority's key; empty for none.
    type: str
    required: true
  days:
    description: Days for which a certificate is valid.
    type: int
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
"""

EXAMPLES = r"""
- name: Sign the request of a device
  facefleet.facefleet.signed_certificate:
    request: "{{ request.stdout }}"
    authority: /srv/fleet/.pki
    password: "{{ authority_password }}"
    days: 825
    name: "{{ inventory_hostname }}"
    usage: clientAuth
  register: signed
"""

RETURN = r"""
files:
  description: >-
    The host's C(tls.crt), C(ca.crt) and C(crl.pem). Empty in a dry run if the host has no
    certificate yet.
  type: dict
"""
