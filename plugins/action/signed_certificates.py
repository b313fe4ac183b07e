"""Sign a host's requests on the controller. See plugins/modules/signed_certificates.py."""

import datetime
import ipaddress
import re
from pathlib import Path

from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
CLOUD = {
    "broker.facefleet": "serverAuth",
    "processor.facefleet": "clientAuth",
    "gallery.facefleet": "clientAuth",
}
OPERATOR = {"operator.facefleet": "clientAuth"}
USAGES = {
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
}
MAX_REQUEST_LENGTH = 10_000  # characters of a request
BACKDATING = datetime.timedelta(hours=1)  # a device's clock may be slow


class RefusedError(Exception):
    """The request is refused; the message says why."""


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = self._task.args
        due = names_due(
            task_vars["inventory_hostname"],
            task_vars["groups"],
            self._task.delegate_to == "localhost",
        )
        try:
            authority = Authority(Path(arguments["authority"]), arguments["password"])
            signed = [
                (certificate["folder"], wanted, requested_key(text, wanted))
                for certificate, text in asked(arguments["certificates"], arguments["requests"])
                if (wanted := Wanted.of(certificate, due)) and (text or not self._task.check_mode)
            ]
            changed = [
                authority.certify(wanted, key, int(arguments["days"]), self._task.check_mode)
                for _, wanted, key in signed
            ]
        except RefusedError as refused:
            return {**result, "failed": True, "msg": str(refused)}
        files = {
            f"{folder}/{name}": text
            for folder, wanted, _ in signed
            for name, text in authority.files(wanted.name).items()
        }
        return {**result, "changed": any(changed), "files": files}


def asked(certificates, requests):
    """Return the pairs of a certificate and what the host returned as its request."""
    if not isinstance(requests, list) or len(requests) != len(certificates):
        raise RefusedError(
            "This host does not return a request for each of its certificates: check whether its "
            "Python was tampered with."
        )
    return zip(certificates, requests, strict=True)


def names_due(host, groups, on_controller):
    """Return the names for which a host may have certificates, each with its usage."""
    if on_controller:
        return OPERATOR
    due = {}
    if host in groups.get("cloud", []):
        due |= CLOUD
    if host in groups.get("edge", []) and DEVICE.fullmatch(host):
        due[host] = "clientAuth"
    return due


class Wanted:
    """The desired content of a certificate."""

    def __init__(self, name, usage, addresses):
        self.name, self.usage = name, usage
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.subject = subject
        self.extensions = {
            x509.BasicConstraints: x509.BasicConstraints(ca=False, path_length=None),
            x509.KeyUsage: x509.KeyUsage(
                digital_signature=True,
                **dict.fromkeys(
                    (
                        *("content_commitment", "key_encipherment", "data_encipherment"),
                        *("key_agreement", "key_cert_sign", "crl_sign"),
                        *("encipher_only", "decipher_only"),
                    ),
                    False,
                ),
            ),
            x509.ExtendedKeyUsage: x509.ExtendedKeyUsage([USAGES[usage]]),
        }
        if addresses:
            names = [general_name(address) for address in addresses]
            self.extensions[x509.SubjectAlternativeName] = x509.SubjectAlternativeName(names)

    @classmethod
    def of(cls, arguments, due):
        name, usage = arguments["name"], arguments["usage"]
        if due.get(name) != usage:
            may = ", ".join(due) or "none, as it is in neither of the groups cloud and edge"
            raise RefusedError(
                f"This host may not have a certificate of {name} for {usage}, only of its own "
                f"names ({may}): correct pki_certificates."
            )
        addresses = arguments.get("addresses") or []
        if addresses and usage != "serverAuth":
            raise RefusedError(f"{name} is not a server: remove the addresses of its certificate.")
        return cls(name, usage, addresses)


def general_name(address):
    kind, _, value = address.partition(":")
    try:
        if kind == "IP":
            return x509.IPAddress(ipaddress.ip_address(value))
        if kind == "DNS":
            return x509.DNSName(value)
    except ValueError:
        pass
    raise RefusedError(
        f"{address} is not a valid address: use one such as DNS:broker or IP:192.0.2.1."
    )


def requested_key(text, wanted):
    """Return the public key of a request, which must ask for exactly what is wanted."""
    if not isinstance(text, str) or len(text) > MAX_REQUEST_LENGTH:
        raise RefusedError(
            "This host's openssl returns no request: check whether it was tampered with."
        )
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key = request.public_key()
        asked = {type(extension.value): extension.value for extension in request.extensions}
        valid = request.is_signature_valid
        subject = request.subject
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise RefusedError(
            "This host's openssl returns an invalid request: check whether it was tampered with."
        ) from error
    if (
        not valid
        or not isinstance(key, EllipticCurvePublicKey)
        or not isinstance(key.curve, SECP256R1)
    ):
        raise RefusedError(
            "This host's request is not signed with a P-256 key: check whether its openssl was "
            "tampered with."
        )
    if subject != wanted.subject or asked != wanted.extensions:
        raise RefusedError(
            f"This host requests a certificate of {shown(subject)} with {shown(asked)}, but may "
            f"only have one of {wanted.name} for {wanted.usage}. Its openssl may have been "
            "tampered with: do not trust this host until you know why."
        )
    return key


def shown(value):
    """Return text from a host, truncated."""
    text = value.rfc4514_string() if isinstance(value, x509.Name) else str(list(value.values()))
    return text[:300]


class Authority:
    """The authority in a folder, with the file names of create_authority.yml."""

    def __init__(self, folder, password):
        self._authorities = folder / "authorities"
        self._current = self._authorities / "current"
        self._issued = folder / "issued"
        self._revoked = folder / "revoked"
        self._password = password.encode() if password else None

    def certify(self, wanted, key, days, dry_run):
        """Sign a certificate if needed. Return whether one was signed, or would be."""
        if (self._revoked / wanted.name).exists():
            raise RefusedError(f"{wanted.name} was revoked: give the host another name.")
        if dry_run and not (self._current / "ca.crt").exists():
            return True
        ca = x509.load_pem_x509_certificate((self._current / "ca.crt").read_bytes())
        path = self._issued / f"{wanted.name}.crt"
        now = datetime.datetime.now(datetime.UTC)
        if path.exists():
            present = x509.load_pem_x509_certificate(path.read_bytes())
            if serves(present, wanted, key, ca, now + datetime.timedelta(days=days) / 3):
                return False
        if not dry_run:
            signer = load_pem_private_key((self._current / "ca.key").read_bytes(), self._password)
            end = now + datetime.timedelta(days=days)
            self._replace(path, build(wanted, key, ca, now, end).sign(signer, SHA256()))
        return True

    def _replace(self, path, certificate):
        if path.exists():  # kept, as it may have to be revoked one day
            former = x509.load_pem_x509_certificate(path.read_bytes())
            path.rename(path.with_name(f"{path.name}.{former.serial_number:x}"))
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(certificate.public_bytes(Encoding.PEM))
        partial.replace(path)

    def files(self, name):
        """Return the files of a host. During a rotation, they contain both authorities."""
        path = self._issued / f"{name}.crt"
        if not path.exists():
            return {}
        folders = sorted(self._authorities.glob("[0-9]*"), key=lambda folder: int(folder.name))
        return {
            "tls.crt": path.read_text(),
            "ca.crt": "".join((folder / "ca.crt").read_text() for folder in folders),
            "crl.pem": "".join((folder / "crl.pem").read_text() for folder in folders),
        }


def build(wanted, key, ca, now, end):
    builder = (
        x509.CertificateBuilder()
        .subject_name(wanted.subject)
        .issuer_name(ca.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATING)
        .not_valid_after(end)
    )
    for kind, extension in wanted.extensions.items():
        critical = kind in (x509.BasicConstraints, x509.KeyUsage)
        builder = builder.add_extension(extension, critical)
    identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return builder.add_extension(authority, critical=False)


def serves(present, wanted, key, ca, until):
    """Return whether a certificate is as wanted, signed by `ca`, and valid until a time."""
    says = {type(extension.value): extension.value for extension in present.extensions}
    says.pop(x509.AuthorityKeyIdentifier, None)
    says.pop(x509.SubjectKeyIdentifier, None)
    try:
        present.verify_directly_issued_by(ca)
    except Exception:
        return False
    return (
        present.subject == wanted.subject
        and says == wanted.extensions
        and spki(present.public_key()) == spki(key)
        and present.not_valid_after_utc > until
    )


def spki(key):
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
