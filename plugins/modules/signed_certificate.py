"""Sign a host's request on the controller; implemented in plugins/action/signed_certificate.py."""

DOCUMENTATION = r"""
module: signed_certificate
short_description: Sign a host's request for a certificate
description:
  - Runs on the controller, and takes from the host nothing but the public key of its request.
  - The names that a host may have follow from its place in the inventory. A device has its own,
    the hosts of the group C(cloud) those of the broker and the processor, the controller
    (C(delegate_to=localhost)) that of the operator.
  - The certificate that the host has is kept until less than a third of its time is left, or
    until it is another authority's, of another key or for other addresses.
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
    description: How long a certificate is good for.
    type: int
    required: true
  name:
    description: The name to certify.
    type: str
    required: true
  usage:
    description: What the certificate is good for, C(clientAuth) or C(serverAuth).
    type: str
    required: true
  addresses:
    description: Where a server is reached, such as C(DNS:broker) or C(IP:192.0.2.1).
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
    The host's C(tls.crt), C(ca.crt) and C(crl.pem). Empty in a dry run where there is
    no certificate yet.
  type: dict
"""
