"""A key is created once, where it is used, and its request asks for what the authority signs."""

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from support.role_variables import plugin

certificate_requests = plugin("modules", "certificate_requests")
signed_certificates = plugin("action", "signed_certificates")
BROKER = {
    "name": "broker.facefleet",
    "usage": "serverAuth",
    "addresses": ["DNS:broker", "IP:192.0.2.1"],
}
DEVICE = {"name": "edge-1", "usage": "clientAuth", "addresses": []}


@pytest.fixture
def create(tmp_path, capsys):
    """Run the module on folders in `tmp_path`, by name. Returns its result."""

    def create(certificates, check=False):
        listed = [
            {"folder": str(tmp_path / folder), **certificate}
            for folder, certificate in certificates.items()
        ]
        given = {"certificates": listed, "_ansible_check_mode": check}
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            certificate_requests.main()
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)

    return create


def test_the_requests_are_those_that_the_authority_signs(create):
    certificates = {"pki/broker": BROKER, "pki/forwarder": DEVICE}
    created = create(certificates)
    assert created["changed"]
    for certificate, text in zip(certificates.values(), created["requests"], strict=True):
        due = {certificate["name"]: certificate["usage"]}
        wanted = signed_certificates.Wanted.of(certificate, due)
        assert signed_certificates.requested_key(text, wanted)


def test_a_key_is_kept_and_only_its_owner_reads_it(create, tmp_path):
    assert create({"pki/forwarder": DEVICE})["changed"]
    key = tmp_path / "pki/forwarder/tls.key"
    text = key.read_text()
    assert {oct(path.stat().st_mode)[-4:] for path in (key.parent, key.parents[1])} == {"0700"}
    assert key.stat().st_mode & 0o777 == 0o600
    assert not create({"pki/forwarder": DEVICE})["changed"]
    key.chmod(0o644)
    assert create({"pki/forwarder": DEVICE})["changed"]
    assert key.read_text() == text
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_dry_run_creates_nothing(create, tmp_path):
    created = create({"pki/forwarder": DEVICE}, check=True)
    assert created["changed"]
    assert created["requests"] == [""]
    assert list(tmp_path.iterdir()) == []
