"""`results | strange_certificates(folder)`: what another authority signed than that in a folder."""

import base64
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

LONGEST = 20_000  # bytes of a certificate's file, in base64; a host may return anything


def strange_certificates(results, folder):
    """The paths of certificates that the authority in `folder` neither signed nor has on its lists.

    `results`: those of ansible.builtin.slurp. What cannot be read as a certificate is replaced by
    one anyway, and is none of these.
    """
    folder = Path(folder)
    authorities = [load(path.read_bytes()) for path in folder.glob("authorities/[0-9]*/ca.crt")]
    found = []
    for result in results:
        certificate = returned(result.get("content"))
        # One of a former authority, which a rotation dropped, is still known by its file.
        if (
            certificate
            and not any(signed(certificate, authority) for authority in authorities)
            and certificate not in known(folder, result["item"]["name"])
        ):
            found.append(f"{result['item']['folder']}/tls.crt")
    return found


def returned(content):
    """The certificate in a host's answer, or None."""
    if not isinstance(content, str) or len(content) > LONGEST:
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
    """All that were ever issued to a name."""
    paths = [*folder.glob(f"issued/{name}.crt*"), *folder.glob(f"revoked/{name}/*")]
    return [load(path.read_bytes()) for path in paths]


class FilterModule:
    def filters(self):
        return {"strange_certificates": strange_certificates}
