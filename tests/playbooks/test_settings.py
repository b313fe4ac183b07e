"""Settings in a run. What follows from them is in tests/plans/test_text_settings.py."""

import json

import pytest

from support.playbooks import play

COMMON = {
    "ansible_connection": "local",
    "facefleet_runtime": "k3s",
    "facefleet_pki_password": "secret",
    "facefleet_s3_endpoint": "https://s3.example.org",
    "facefleet_broker_nodeport": "31884",
    "facefleet_s3_require_tls": "no",
}


@pytest.fixture
def run(tmp_path):
    """A run of settings.yml: what it says, and what it recorded of each host."""

    def run(*options):
        groups = {
            "cloud": {"hosts": {"cloud-1": {"ansible_host": "192.0.2.9"}}},
            "edge": {"hosts": {"edge-1": {"facefleet_base_port": "32000"}}},
        }
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(json.dumps({"all": {"vars": COMMON, "children": groups}}))
        report = tmp_path / "report"
        report.mkdir()
        extra = (word for option in (f"report={report}", *options) for word in ("-e", option))
        ran = play("tests/playbooks/settings.yml", inventory, *extra)
        return ran, {path.stem: json.loads(path.read_text()) for path in report.iterdir()}

    return run


@pytest.mark.timeout(600)
def test_settings_that_come_as_text_are_of_their_type_in_a_run(run):
    ran, found = run()
    assert ran.code == 0, ran.output
    for host, first_port in (("cloud-1", 31900), ("edge-1", 32000)):
        assert found[host]["facefleet_broker_nodeport"] == 31884
        assert found[host]["facefleet_s3_require_tls"] is False
        assert found[host]["facefleet_base_port"] == first_port
    environment = found["edge-1"]["services"]["forwarder"]["environment"]
    assert environment["FACEFLEET_CLOUD_BROKER"] == "mqtts://192.0.2.9:31884"


@pytest.mark.timeout(600)
def test_environment_that_a_service_cannot_have_ends_the_run_with_a_sentence(run):
    """Each: tests/plugins/test_overrides.py."""
    given = {"facefleet_service_environment": {"logger": {"FACEFLEET_LOGLEVEL": "debug"}}}
    ran, found = run(json.dumps(given))
    assert (
        "facefleet_service_environment of logger: unknown setting FACEFLEET_LOGLEVEL: "
        "see docs/settings.md." in ran.flat
    )
    assert found == {}
