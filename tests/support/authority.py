"""Certificates for tests, made when they are needed."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USAGES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}
_NEITHER = {"encipher_only": False, "decipher_only": False}


class Authority:
    """A certificate authority in memory."""

    def __init__(self, name: str) -> None:
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign(
            _named(name),
            self._key,
            30,
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (x509.KeyUsage(*[False] * 5, key_cert_sign=True, crl_sign=True, **_NEITHER), True),
        )
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        folder: Path,
        name: str,
        *,
        usage: str = "client",
        days: int = 30,
        address: str = "127.0.0.1",
    ) -> int:
        """Write tls.key, tls.crt and ca.crt into a folder. Returns the serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(
            _named(name),
            key,
            days,
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([USAGES[usage]]), False),
            (x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False),
        )
        folder.mkdir(exist_ok=True)
        (folder / "tls.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "ca.crt").write_bytes(self.pem)
        return certificate.serial_number

    def revoke(self, *serials: int) -> bytes:
        """The list of what is revoked, as PEM."""
        now = datetime.datetime.now(datetime.UTC)
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now)
            .next_update(now + datetime.timedelta(days=30))
        )
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            crl = crl.add_revoked_certificate(entry.build())
        return crl.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        days: int,
        *extensions: tuple[x509.ExtensionType, bool],
    ) -> x509.Certificate:
        """`days` below 0: it has ended so long ago."""
        now = datetime.datetime.now(datetime.UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=90))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(issuer, False)
        )
        for extension, critical in extensions:
            certificate = certificate.add_extension(extension, critical)
        return certificate.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
