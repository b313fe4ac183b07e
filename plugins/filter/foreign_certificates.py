"""`results | foreign_certificates(folder)`: find certificates signed by another CA."""

import base64
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

MAX_BYTES = 20_000  # of a certificate's file in base64, as a host may return anything


def foreign_certificates(results, folder):
    """Return paths of certificates that the CA in `folder` has neither signed nor recorded.

    `results`: of ansible.builtin.slurp. Unreadable certificates are not included, as they are
    replaced in any case.
    """
    folder = Path(folder)
    authorities = [load(path.read_bytes()) for path in folder.glob("authorities/[0-9]*/ca.crt")]
    found = []
    for result in results:
        certificate = returned(result.get("content"))
        # Certificates of a former CA, which a rotation removed, are still known by their files.
        if (
            certificate
            and not any(signed(certificate, authority) for authority in authorities)
            and certificate not in known(folder, result["item"]["name"])
        ):
            found.append(f"{result['item']['folder']}/tls.crt")
    return found


def returned(content):
    """Return the certificate in a host's result, or None."""
    if not isinstance(content, str) or len(content) > MAX_BYTES:
        return None
    try:
        return load(base64.b64decode(content))
    except ValueError:
        return None


def load(pem):
    return x509.load_pem_x509_certificate(pem)


def signed(certificate, authority):
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def known(folder, name):
    """Return all certificates that were ever issued to a name."""
    paths = [*folder.glob(f"issued/{name}.crt*"), *folder.glob(f"revoked/{name}/*")]
    return [load(path.read_bytes()) for path in paths]


class FilterModule:
    def filters(self):
        return {"foreign_certificates": foreign_certificates}
