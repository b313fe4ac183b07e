"""Who gets which certificate: by the inventory, whatever the host asks for."""

import base64
import datetime

import claimed_settings as claims
import foreign_certificates as foreign
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support import role_variables

plugin = role_variables.plugin("action", "signed_certificates")
GROUPS = {"cloud": ["cloud-1"], "edge": ["edge-1", "edge-2", "processor.facefleet"], "all": ["x"]}
NOW = datetime.datetime.now(datetime.UTC)


def wanted(name="edge-1", usage="clientAuth", addresses=(), host="edge-1", on_controller=False):
    due = plugin.names_due(host, GROUPS, on_controller)
    arguments = {"name": name, "usage": usage, "addresses": list(addresses)}
    return plugin.Wanted.of(arguments, due)


def named(*names):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])


def request(key, subject=None, extensions=None):
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or named("edge-1"))
    for extension in wanted().extensions.values() if extensions is None else extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def authority(tmp_path):
    make_authority(tmp_path, 1)
    (tmp_path / "authorities/current").symlink_to("1")
    (tmp_path / "issued").mkdir()
    (tmp_path / "revoked").mkdir()
    return plugin.Authority(tmp_path, "secret")


def make_authority(folder, number):
    """As create_authority.yml does."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = named(f"facefleet CA {number}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )
    path = folder / f"authorities/{number}"
    path.mkdir(parents=True)
    encryption = BestAvailableEncryption(b"secret")
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    (path / "ca.key").write_bytes(text)
    (path / "ca.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (path / "crl.pem").write_text(f"list of {number}\n")


@pytest.mark.parametrize(
    ("host", "on_controller", "due"),
    [
        ("edge-1", False, {"edge-1": "clientAuth"}),
        (
            "cloud-1",
            False,
            {
                "broker.facefleet": "serverAuth",
                "processor.facefleet": "clientAuth",
                "gallery.facefleet": "clientAuth",
            },
        ),
        ("edge-1", True, {"operator.facefleet": "clientAuth"}),
        ("stranger", False, {}),
        ("processor.facefleet", False, {}),  # an inventory cannot call a device so
    ],
)
def test_a_name_follows_from_the_place_in_the_inventory(host, on_controller, due):
    assert plugin.names_due(host, GROUPS, on_controller) == due


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("edge-2", "clientAuth"),
        ("processor.facefleet", "clientAuth"),
        ("operator.facefleet", "clientAuth"),
        ("broker.facefleet", "serverAuth"),
        ("edge-1", "serverAuth"),
        ("../edge-2", "clientAuth"),
    ],
)
def test_a_device_gets_no_other_name(name, usage):
    with pytest.raises(plugin.RefusedError, match=r"only of its own names \(edge-1\):"):
        wanted(name, usage)


def test_a_device_gets_no_addresses():
    with pytest.raises(plugin.RefusedError, match="is not a server"):
        wanted(addresses=["DNS:broker"])


SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
REQUESTS = {
    "another's name": {"subject": named("edge-2")},
    "two names": {"subject": named("edge-1", "edge-2")},
    "another usage": {"extensions": [SERVER]},
    "to sign others": {"extensions": [x509.BasicConstraints(ca=True, path_length=None)]},
    "addresses": {"extensions": [x509.SubjectAlternativeName([x509.DNSName("broker")])]},
    "nothing of it": {"extensions": []},
}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_a_request_for_more_than_is_due_is_refused(key, asked):
    with pytest.raises(plugin.RefusedError, match="do not trust this host"):
        plugin.requested_key(request(key, **asked), wanted())


@pytest.mark.parametrize(
    "text", [None, {"stdout": 1}, "", "-----BEGIN", "x" * 1_000_000, "\x00\ud800"], ids=repr
)
def test_what_is_no_request_has_a_sentence(text):
    with pytest.raises(plugin.RefusedError, match=r"openssl returns (no|an invalid) request"):
        plugin.requested_key(text, wanted())


@pytest.mark.parametrize("requests", [None, {}, "x", [], [1, 2]], ids=repr)
def test_another_number_of_requests_is_refused(requests):
    with pytest.raises(plugin.RefusedError, match="a request for each of its certificates"):
        plugin.asked([{"name": "edge-1"}], requests)


def test_a_key_of_another_kind_is_refused():
    weak = rsa.generate_private_key(65537, 1024)
    with pytest.raises(plugin.RefusedError, match=r"P-256"):
        plugin.requested_key(request(weak), wanted())


def test_a_certificate_says_what_is_due_and_is_kept(authority, key, tmp_path):
    public = plugin.requested_key(request(key), wanted())
    assert authority.certify(wanted(), public, 365, dry_run=True)
    assert authority.files("edge-1") == {}
    assert authority.certify(wanted(), public, 365, dry_run=False)
    assert not authority.certify(wanted(), public, 365, dry_run=False)
    files = authority.files("edge-1")
    certificate = x509.load_pem_x509_certificate(files["tls.crt"].encode())
    ca = x509.load_pem_x509_certificate(files["ca.crt"].encode())
    certificate.verify_directly_issued_by(ca)
    assert certificate.subject == named("edge-1")
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert files["crl.pem"] == "list of 1\n"
    assert [path.name for path in (tmp_path / "issued").iterdir()] == ["edge-1.crt"]


def test_it_is_renewed_when_less_than_a_third_is_left(authority, key, tmp_path):
    authority.certify(wanted(), key.public_key(), 100, dry_run=False)
    assert not authority.certify(wanted(), key.public_key(), 290, dry_run=False)
    assert authority.certify(wanted(), key.public_key(), 310, dry_run=False)
    # The former one is kept: it may have to be revoked.
    assert len(list((tmp_path / "issued").glob("edge-1.crt*"))) == 2


def test_it_is_renewed_for_another_key_authority_or_address(authority, key, tmp_path):
    other = ec.generate_private_key(ec.SECP256R1())
    broker = {"name": "broker.facefleet", "usage": "serverAuth", "host": "cloud-1"}
    old = wanted(addresses=["DNS:broker"], **broker)
    new = wanted(addresses=["DNS:broker", "IP:192.0.2.7"], **broker)
    assert authority.certify(old, key.public_key(), 365, dry_run=False)
    assert authority.certify(new, key.public_key(), 365, dry_run=False)
    assert authority.certify(new, other.public_key(), 365, dry_run=False)
    make_authority(tmp_path, 2)
    assert not authority.certify(new, other.public_key(), 365, dry_run=False)
    (tmp_path / "authorities/current").unlink()
    (tmp_path / "authorities/current").symlink_to("2")
    assert authority.certify(new, other.public_key(), 365, dry_run=False)
    assert authority.files("broker.facefleet")["crl.pem"] == "list of 1\nlist of 2\n"


def test_what_was_revoked_gets_no_other(authority, key, tmp_path):
    (tmp_path / "revoked/edge-1").mkdir()
    with pytest.raises(plugin.RefusedError, match="edge-1 was revoked"):
        authority.certify(wanted(), key.public_key(), 365, dry_run=False)


def test_facts_that_claim_to_be_settings_are_told_from_facts():
    told = {"architecture": "x86_64", "docker_gwbridge": {}, "distribution": "Debian", "env": {}}
    assert claims.claimed_settings(told) == []
    lies = {"pki_dir": 1, "__pki_issued_dir": 1, "facefleet_bucket": 1, "group_names": 1, "omit": 1}
    assert claims.claimed_settings({**told, **lies}) == sorted(lies)
    found = {"k3s_problems": [], "problems": []}
    assert claims.claimed_settings(found) == sorted(found)
    assert len(claims.claimed_settings({f"pki_{'x' * 10_000}{n}": 1 for n in range(9999)})) == 5


def present(pem):
    """As ansible.builtin.slurp returns the certificate of edge-1."""
    content = pem if pem is None else base64.b64encode(pem.encode()).decode()
    return [{"content": content, "item": {"name": "edge-1", "folder": "/etc/pki"}}]


@pytest.fixture
def certified(authority, key):
    authority.certify(wanted(), key.public_key(), 365, dry_run=False)
    return authority.files("edge-1")["tls.crt"]


def test_a_certificate_of_another_authority_is_told(certified, tmp_path):
    assert foreign.foreign_certificates(present(certified), tmp_path) == []
    other = tmp_path / "other"
    assert foreign.foreign_certificates(present(certified), other) == ["/etc/pki/tls.crt"]
    make_authority(other, 1)  # of the same name, with a key of its own
    assert foreign.foreign_certificates(present(certified), other) == ["/etc/pki/tls.crt"]


def test_a_certificate_of_a_former_authority_is_not(certified, tmp_path):
    make_authority(tmp_path, 2)
    (tmp_path / "authorities/1").rename(tmp_path / "dropped")
    assert foreign.foreign_certificates(present(certified), tmp_path) == []
    (tmp_path / "issued/edge-1.crt").rename(tmp_path / "issued/edge-1.crt.1f")
    assert foreign.foreign_certificates(present(certified), tmp_path) == []
    (tmp_path / "issued/edge-1.crt.1f").unlink()
    assert foreign.foreign_certificates(present(certified), tmp_path) == ["/etc/pki/tls.crt"]


def test_a_certificate_that_is_not_on_the_list_of_its_authority_is_not(certified, tmp_path):
    """As after a backup of the authority was put back."""
    (tmp_path / "issued/edge-1.crt").unlink()
    assert foreign.foreign_certificates(present(certified), tmp_path) == []


@pytest.mark.parametrize("pem", [None, "", "-----BEGIN CERTIFICATE-----", "x" * 1_000_000])
def test_what_is_no_certificate_is_not(pem, tmp_path):
    assert foreign.foreign_certificates(present(pem), tmp_path) == []
    assert foreign.foreign_certificates([{"content": {"a": 1}}, {}], tmp_path) == []
