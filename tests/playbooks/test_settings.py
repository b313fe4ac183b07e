"""Settings in a run. What follows from them is in tests/plans/test_text_settings.py."""

import json
import shutil

import facefleet_setting_names as names
import pytest

from support.playbooks import ROOT, play

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
def test_old_names_are_refused_with_the_new_ones(tmp_path):
    hosts = {"edge": {"hosts": {"edge-1": dict.fromkeys(names.RENAMED, "")}}}
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"children": hosts}}))
    extra_vars = [f"--extra-vars={name}=yes" for name in names.RENAMED_EXTRA_VARS]
    ran = play("playbooks/teardown.yml", inventory, *extra_vars)
    assert ran.code == 2
    options = {f"-e {old}": f"-e {new}" for old, new in names.RENAMED_EXTRA_VARS.items()}
    for old, new in {**names.RENAMED, **options}.items():
        assert ran.flat.count(f" {old} has been renamed: use {new}.") == 1, ran.output
    assert "Unknown variable" not in ran.flat


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


@pytest.mark.timeout(600)
def test_the_example_is_refused_by_the_names_of_what_to_fill_in(tmp_path):
    inventory = tmp_path / "mine"
    shutil.copytree(ROOT / "inventories/example", inventory)
    ran = play("site.yml", inventory)
    assert ran.code != 0
    for sentence in (
        "Every host: facefleet_bucket is example-facefleet-faces, as in inventories/example",
        "jetson-1: ansible_host is 192.0.2.11, as in inventories/example: set it to your own.",
        "The source of the camera yard is rtsp://192.0.2.50/stream1, as in inventories/example",
        "Nothing was changed on any host. Fix these problems and run again.",
    ):
        assert ran.flat.count(sentence) == 1, ran.output
    assert "--limit" not in ran.flat
