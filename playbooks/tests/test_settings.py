"""Settings as people write them: as text, with `~`, by names and by IPv6 addresses."""

import json
import shutil

import pytest
from conftest import ROOT, play

# One of each setting that is no text.
TYPED = {
    "facefleet_retention_days": 20,
    "facefleet_s3_port": 0,
    "facefleet_s3_tls_only": False,
    "facefleet_nodeport": 31884,
    "facefleet_processor_port": 31885,
    "facefleet_gallery_port": 31886,
    "facefleet_first_port": 31950,
    "facefleet_no_log": False,
    "facefleet_qos": 1,
    "aws_access_read": False,
    "aws_storage_quarantine_days": 3,
    "aws_storage_delete_faces": False,
    "aws_instance_protected": False,
    "aws_instance_disk_gb": 40,
    "k3s_allow_swap": False,
    "pki_days": 100,
}
COMMON = {
    "ansible_connection": "local",
    "facefleet_runtime": "k3s",
    "facefleet_pki_password": "secret",
    "facefleet_s3_endpoint": "https://s3.example.org",
    "facefleet_controller_address": "anywhere",
    "facefleet_bucket": "some-faces",
}
HOSTS = """\
[cloud]
{cloud}
[edge]
edge-1 facefleet_public_address=192.0.2.7
[edge:vars]
facefleet_cameras=[{{"name": "door", "source": "rtsp://[2001:db8::5]/live", "fps": "2.5"}}]
[all:vars]
{common}
"""


@pytest.fixture
def plan(tmp_path):
    """What follows from an inventory, host to plan (settings.yml); or the words of a refusal."""

    def run(*options, cloud="cloud-1 ansible_host=192.0.2.9", **common):
        inventory = tmp_path / "hosts.ini"
        lines = [f"{name}={value}" for name, value in {**COMMON, **common}.items()]
        inventory.write_text(HOSTS.format(cloud=cloud, common="\n".join(lines)))
        report = tmp_path / "report"
        report.mkdir(exist_ok=True)
        ran = play("playbooks/tests/settings.yml", inventory, "-e", f"report={report}", *options)
        if ran.code:
            return ran.flat
        return {path.stem: json.loads(path.read_text()) for path in report.glob("*.json")}

    return run


def shown(value):
    """A plan as templates and environments show it, where a number is as good as its digits."""
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value if isinstance(value, bool) else str(value)


@pytest.mark.timeout(600)
def test_settings_that_come_as_text_are_of_their_type(plan):
    typed = plan("-e", json.dumps(TYPED))
    assert isinstance(typed, dict), typed
    cloud, device = typed["cloud-1"], typed["edge-1"]
    assert cloud["problems"] == device["problems"] == []
    assert cloud["bucket_policy"] == {}
    assert cloud["settings"]["aws_network_broker_port"] == 31884
    assert device["settings"]["facefleet_cameras"][0]["fps"] == 2.5
    assert device["cloud_broker"] == "mqtts://192.0.2.9:31884"
    text = [word for name, value in TYPED.items() for word in ("-e", f"{name}={value}".lower())]
    # In an INI file, each is text or what Python takes it for.
    for given in (plan(*text), plan(**TYPED)):
        assert shown(given) == shown(typed)


@pytest.mark.timeout(600)
def test_text_that_is_of_no_type_has_a_sentence(plan):
    words = plan(
        *("-e", "facefleet_nodeport=many", "-e", "facefleet_s3_tls_only=perhaps"),
        *("-e", "facefleet_cameras=[door]", "-e", '{"facefleet_bucket": ["a"]}'),
    )
    assert "Every host: facefleet_nodeport must be a whole number, not 'many'." in words
    assert "Every host: facefleet_s3_tls_only must be true or false, not 'perhaps'." in words
    assert "facefleet_cameras must be a list, not text. After -e, that takes JSON" in words
    assert "facefleet_bucket must be text, not a list." in words
    assert words.count("facefleet_nodeport must be") == 1


@pytest.mark.timeout(600)
def test_what_a_service_cannot_be_given_has_a_sentence(plan):
    camera = {"name": "door", "source": "sample:hopper", "resources": {"limits": {"gpu": 1}}}
    given = {
        "facefleet_service_environment": {"logger": {"FACEFLEET_LOGLEVEL": "debug"}},
        "facefleet_resources": {"loger": {}},
        "facefleet_cameras": [camera],
    }
    words = plan("-e", json.dumps(given))
    assert (
        "facefleet_service_environment of logger: there is no setting FACEFLEET_LOGLEVEL" in words
    )
    assert "facefleet_resources: there is no service loger. Services are broker, detector" in words
    assert "resources of detector-door: limits has no gpu, only cpu and memory." in words


ADDRESSES = {
    "cloud.example.org": ("mqtts://cloud.example.org:31883", "DNS:cloud.example.org"),
    "cloud-1 ansible_host=2001:db8::9": ("mqtts://[2001:db8::9]:31883", "IP:2001:db8::9"),
    "cloud-1 ansible_host=[2001:db8::9]": ("mqtts://[2001:db8::9]:31883", "IP:2001:db8::9"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("cloud", ADDRESSES)
def test_a_cloud_of_any_address_is_called_by_it(plan, cloud):
    url, name = ADDRESSES[cloud]
    found = plan(cloud=cloud)
    assert isinstance(found, dict), found
    assert found["edge-1"]["cloud_broker"] == url
    assert found["edge-1"]["services"]["forwarder"]["environment"]["FACEFLEET_CLOUD_BROKER"] == url
    (server,) = [
        certificate
        for certificate in found[cloud.split()[0]]["certificates"]
        if certificate["name"] == "broker.facefleet"
    ]
    assert server["addresses"] == ["DNS:broker", "IP:127.0.0.1", name]


@pytest.mark.timeout(600)
def test_home_is_the_users(plan, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = plan("-e", "facefleet_pki_dir=~/pki")
    assert found["cloud-1"]["key"] == str(tmp_path / ".ssh/id_ed25519.pub")
    assert found["cloud-1"]["settings"]["pki_dir"] == str(tmp_path / "pki")


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
        "Nothing was changed on any host. Mend this and run it again.",
    ):
        assert ran.flat.count(sentence) == 1, ran.output
    assert "--limit" not in ran.flat


@pytest.mark.timeout(600)
def test_several_inventories_of_a_run_have_one_authority(tmp_path):
    common, site, report = (tmp_path / name for name in ("common", "site-a", "report"))
    for folder in (common, site, report):
        folder.mkdir()
    lines = "\n".join(f"{name}={value}" for name, value in COMMON.items())
    (common / "hosts.ini").write_text(
        f"[cloud]\ncloud-1 ansible_host=192.0.2.9\n[all:vars]\n{lines}\n"
    )
    (site / "hosts.ini").write_text("[edge]\nedge-1 facefleet_public_address=192.0.2.7\n")
    ran = play(
        "playbooks/tests/settings.yml",
        site / "hosts.ini",
        *("--inventory", common / "hosts.ini", "-e", f"report={report}"),
    )
    assert ran.code == 0, ran.output
    plans = [json.loads(path.read_text()) for path in report.glob("*.json")]
    assert [plan["settings"]["pki_dir"] for plan in plans] == [str(common / ".pki")] * 2
