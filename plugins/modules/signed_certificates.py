"""Sign a host's requests; implemented in plugins/action/signed_certificates.py."""

DOCUMENTATION = r"""
module: signed_certificates
short_description: Sign the certificate requests of a host
description:
  - Runs on the controller, and uses only the public key of each request.
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
  certificates:
    description: The certificates, as in C(pki_certificates) of the role C(pki).
    type: list
    elements: dict
    required: true
  requests:
    description: The host's request for each certificate, in PEM. In a dry run, it may be empty.
    type: list
    elements: str
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
"""

EXAMPLES = r"""
- name: Sign the requests of a device
  facefleet.facefleet.signed_certificates:
    certificates: "{{ pki_certificates }}"
    requests: "{{ created.requests }}"
    authority: /srv/fleet/.pki
    password: "{{ authority_password }}"
    days: 825
  register: signed
"""

RETURN = r"""
files:
  description: >-
    The text of C(tls.crt), C(ca.crt) and C(crl.pem) of each certificate, by path. In a dry run,
    those of certificates that exist already.
  type: dict
"""
