"""What is wrong with the settings of any host is said at once, before one is looked at."""

import json

import pytest

from support.playbooks import play, sentences

CAMERAS = [
    {"name": "door", "source": "/dev/video0", "fps": 0},
    {"name": "door", "source": "nonsense"},
    {"name": "Door_1", "source": "rtsp://192.0.2.1/"},
    {"name": "probe", "source": ""},
    {"name": "a" * 43, "source": "sample:mona-lisa"},
    {"name": "album", "source": "/srv/pictures", "pixel_format": "MJPG"},
]
UPLINK = {"rate": "256"}
SENTENCES = [
    "Every host: Unknown variable facefleet_buckt: did you mean facefleet_bucket?",
    "Every host: -e confirm has been renamed: use -e facefleet_confirm.",
    "cloud-1: facefleet_vpc has been renamed: use facefleet_vpc_id.",
    "cloud-1: facefleet_broker_nodeport is 99999: set it to a port from 30000 to 32767",
    "cloud-1: facefleet_broker_nodeport is not a valid port",
    "cloud-1: facefleet_outbox_max_size is much: use a size such as 20GiB",
    "cloud-1: facefleet_s3_require_tls must be true or false, not 'perhaps'.",
    f"edge-1: Door_1, probe, {'a' * 43} is not a valid camera name",
    "edge-1: Several cameras have the name door",
    f"edge-1: The camera door, probe, {'a' * 43} has an invalid source",
    "edge-1: The camera door has an invalid fps: set it to a number greater than 0.",
    "edge-1: The camera album has a pixel_format, which only a camera of the machine itself "
    "(/dev/...) has: remove it.",
    "edge-1: The rate of facefleet_uplink is 256: use bits per second, such as 256kbit or 1.5Mbit",
]


@pytest.mark.timeout(300)
def test_the_settings_of_all_hosts(tmp_path):
    cloud = {
        "facefleet_broker_nodeport": "99999",
        "facefleet_outbox_max_size": "much",
        "facefleet_s3_require_tls": "perhaps",
        "facefleet_vpc": "vpc-1",
    }
    hosts = {
        "cloud": {"hosts": {"cloud-1": cloud}},
        "edge": {"hosts": {"edge-1": {"facefleet_cameras": CAMERAS, "facefleet_uplink": UPLINK}}},
    }
    common = {
        "ansible_connection": "local",
        "ansible_become": False,
        "facefleet_pki_password": "quite secret",
        "facefleet_buckt": "faces",
    }
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"vars": common, "children": hosts}}))
    ran = play("playbooks/preflight.yml", inventory, "--extra-vars=confirm=yes")
    assert ran.code == 2
    words = sentences(ran)
    missing = [one for one in SENTENCES if not any(word.startswith(one) for word in words)]
    assert missing == []
    assert ran.flat.count("Unknown variable facefleet_buckt") == 1
    assert words[-1].startswith("Nothing was changed on any host.")


def inventory(folder, **groups):
    path = folder / "hosts.yml"
    common = {"facefleet_pki_password": "quite secret", "facefleet_s3_endpoint": "http://[::1]:9"}
    children = {name: {"hosts": hosts} for name, hosts in groups.items()}
    path.write_text(json.dumps({"all": {"vars": common, "children": children}}))
    return path


@pytest.mark.timeout(300)
def test_a_group_that_is_not_quite_edge_leaves_nobody_out(tmp_path):
    devices = {name: {} for name in ("jetson-1", "jetson-2")}
    made = inventory(tmp_path, cloud={"cloud-1": {}}, edges=devices)
    ran = play("playbooks/preflight.yml", made, "--limit=jetson-1,jetson-2")
    assert ran.code == 2
    assert sentences(ran)[0] == (
        "Every host: The host is in no group that facefleet knows: add it to cloud or edge "
        "(hosts.yml)."
    )


@pytest.mark.timeout(300)
def test_hosts_that_cannot_be_in_one_fleet_are_not_contacted(tmp_path):
    same = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    cameras = {"facefleet_cameras": [{"name": "door", "url": "/dev/video0"}]}
    made = inventory(tmp_path, cloud={"cloud-1": same}, edge={"jetson-1": {**same, **cameras}})
    ran = play("site.yml", made)
    assert ran.code == 2
    address, camera, _ = sentences(ran)
    assert address.startswith("Every host: cloud-1 and jetson-1 have the same address, 127.0.0.1:")
    assert camera.startswith("jetson-1: camera door: unknown key url (known: name, source, user,")
    assert camera.endswith("; source is missing.")
    assert "Before anything is changed" not in ran.output


@pytest.mark.timeout(300)
def test_hosts_that_are_off_are_said_once(tmp_path):
    off = {f"jetson-{n}": {"ansible_host": f"127.0.0.{n}", "ansible_port": 1} for n in range(2, 6)}
    made = inventory(tmp_path, cloud={"cloud-1": {"ansible_connection": "local"}}, edge=off)
    ran = play("playbooks/preflight.yml", made, "--limit=edge")
    said = sentences(ran)
    assert len(said) == 5
    for host, variables in off.items():
        refused = f"{host}: {variables['ansible_host']} refuses ssh connections"
        assert any(one.startswith(refused) for one in said)
        assert ran.output.count(refused) == 1
    assert len(ran.output.splitlines()) < 50
