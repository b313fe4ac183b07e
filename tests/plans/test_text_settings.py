"""Settings as people write them: as text, with `~`, by names and by IPv6 addresses."""

import json

import pytest

from support.plans import hosts

# One of each setting that is no text.
TYPED = {
    "facefleet_retention_days": 20,
    "facefleet_s3_port": 0,
    "facefleet_s3_require_tls": False,
    "facefleet_broker_nodeport": 31884,
    "facefleet_processor_port": 31885,
    "facefleet_gallery_port": 31886,
    "facefleet_base_port": 31950,
    "facefleet_no_log": False,
    "facefleet_qos": 1,
    "aws_access_allow_read": False,
    "aws_storage_quarantine_days": 3,
    "aws_storage_delete_faces": False,
    "aws_instance_termination_protection": False,
    "aws_instance_disk_gb": 40,
    "k3s_allow_swap": False,
    "pki_certificate_validity_days": 100,
}
COMMON = {
    "ansible_connection": "local",
    "facefleet_runtime": "k3s",
    "facefleet_pki_password": "secret",
    "facefleet_s3_endpoint": "https://s3.example.org",
    "facefleet_ssh_allowed_cidrs": "anywhere",
    "facefleet_bucket": "some-faces",
}
HOSTS = """\
[cloud]
{cloud}
[edge]
edge-1 facefleet_broker_allowed_cidrs=192.0.2.7
[edge:vars]
facefleet_cameras=[{{"name": "door", "source": "rtsp://[2001:db8::5]/live", "fps": "2.5"}}]
[all:vars]
{common}
"""
# What follows from settings, beside the services.
DERIVED = (
    "facefleet_setting_problems + __aws_storage_problems",
    "facefleet_cloud_broker",
    "__aws_access_policy",
    "__aws_network_own_rules",
    "__aws_storage_policy if aws_storage_require_tls | bool else {}",
    "aws_storage_delete_faces | bool",
    "__aws_instance_key_file",
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The hosts of an inventory, by name; `extra` is given by -e."""

    inventory = tmp_path_factory.mktemp("inventory") / "hosts.ini"

    def read(cloud="cloud-1 ansible_host=192.0.2.9", extra=None, **common):
        lines = [f"{name}={value}" for name, value in {**COMMON, **common}.items()]
        inventory.write_text(HOSTS.format(cloud=cloud, common="\n".join(lines)))
        return hosts(inventory, **(extra or {}))

    return read


def consequences(host):
    return {
        **host.work_out(),
        "settings": host.settings,
        **{expression: host.value(expression) for expression in DERIVED},
    }


def shown(value):
    """A plan as templates and environments show it, where a number is as good as its digits."""
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return value if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def typed(fleet):
    return {name: consequences(host) for name, host in fleet(extra=TYPED).items()}


def test_settings_of_their_types_have_their_consequences(typed):
    cloud, device = typed["cloud-1"], typed["edge-1"]
    assert cloud[DERIVED[0]] == device[DERIVED[0]] == []
    assert cloud["__aws_storage_policy if aws_storage_require_tls | bool else {}"] == {}
    assert cloud["settings"]["aws_network_broker_port"] == 31884
    assert device["settings"]["facefleet_cameras"][0]["fps"] == 2.5
    assert device["facefleet_cloud_broker"] == "mqtts://192.0.2.9:31884"


@pytest.mark.parametrize(
    "given",
    [
        {"extra": {name: str(value).lower() for name, value in TYPED.items()}},
        TYPED,  # in an INI file, each is text or what Python takes it for
    ],
    ids=["-e", "INI"],
)
def test_settings_that_come_as_text_have_the_same_consequences(fleet, typed, given):
    found = {name: consequences(host) for name, host in fleet(**given).items()}
    for host in found.values():
        kept = {name: host["settings"][name] for name in TYPED}
        assert json.dumps(kept) == json.dumps(TYPED)
    assert shown(found) == shown(typed)


ADDRESSES = {
    "cloud.example.org": ("mqtts://cloud.example.org:31883", "DNS:cloud.example.org"),
    "cloud-1 ansible_host=2001:db8::9": ("mqtts://[2001:db8::9]:31883", "IP:2001:db8::9"),
    "cloud-1 ansible_host=[2001:db8::9]": ("mqtts://[2001:db8::9]:31883", "IP:2001:db8::9"),
}


@pytest.mark.parametrize("cloud", ADDRESSES)
def test_cloud_of_any_address_is_called_by_it(fleet, cloud):
    url, name = ADDRESSES[cloud]
    found = fleet(cloud=cloud)
    assert found["edge-1"].value("facefleet_cloud_broker") == url
    forwarder = found["edge-1"].work_out()["services"]["forwarder"]
    assert forwarder["environment"]["FACEFLEET_CLOUD_BROKER"] == url
    (server,) = [
        certificate
        for certificate in found[cloud.split()[0]].work_out()["certificates"]
        if certificate["name"] == "broker.facefleet"
    ]
    assert server["addresses"] == ["DNS:broker", "IP:127.0.0.1", name]


def test_home_is_that_of_the_user(fleet, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    cloud = fleet(extra={"facefleet_pki_dir": "~/pki"})["cloud-1"]
    assert cloud.value("__aws_instance_key_file") == str(tmp_path / ".ssh/id_ed25519.pub")
    assert cloud.settings["pki_dir"] == str(tmp_path / "pki")


def test_several_inventories_of_a_run_have_one_authority(tmp_path):
    common, site = tmp_path / "common", tmp_path / "site-a"
    for folder in (common, site):
        folder.mkdir()
    lines = "\n".join(f"{name}={value}" for name, value in COMMON.items())
    (common / "hosts.ini").write_text(
        f"[cloud]\ncloud-1 ansible_host=192.0.2.9\n[all:vars]\n{lines}\n"
    )
    (site / "hosts.ini").write_text("[edge]\nedge-1 facefleet_broker_allowed_cidrs=192.0.2.7\n")
    found = hosts(site / "hosts.ini", common / "hosts.ini")
    authorities = [host.settings["pki_dir"] for host in found.values()]
    assert authorities == [str(common / ".pki")] * 2
