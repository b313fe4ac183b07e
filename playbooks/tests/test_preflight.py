"""What is wrong with the settings of any host is said at once, before one is looked at."""

import json

import pytest
import yaml
from conftest import play

CAMERAS = [
    {"name": "door", "source": "/dev/video0", "fps": 0},
    {"name": "door", "source": "nonsense"},
    {"name": "Door_1", "source": "rtsp://192.0.2.1/"},
    {"name": "probe", "source": ""},
    {"name": "a" * 43, "source": "sample:mona-lisa"},
]
SENTENCES = [
    "Every host: There is no facefleet_buckt: see how it is spelled",
    "cloud-1: facefleet_nodeport is 99999: set it to a port from 30000 to 32767",
    "cloud-1: facefleet_nodeport cannot be a port",
    "cloud-1: facefleet_outbox_max_bytes is much: give a size such as 20GiB",
    f"edge-1: Door_1, probe, {'a' * 43} cannot name a camera",
    "edge-1: Several cameras are called door",
    f"edge-1: The source of the camera door, probe, {'a' * 43} is none",
    "edge-1: The fps of the camera door is not above 0",
]


@pytest.mark.timeout(300)
def test_the_settings_of_all_hosts(tmp_path):
    cloud = {"facefleet_nodeport": "99999", "facefleet_outbox_max_bytes": "much"}
    hosts = {
        "cloud": {"hosts": {"cloud-1": cloud}},
        "edge": {"hosts": {"edge-1": {"facefleet_cameras": CAMERAS}}},
    }
    common = {
        "ansible_connection": "local",
        "ansible_become": False,
        "facefleet_pki_password": "quite secret",
        "facefleet_buckt": "faces",
    }
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"vars": common, "children": hosts}}))
    ran = play("playbooks/preflight.yml", inventory)
    assert ran.code == 2
    words = yaml.safe_load(ran.output.rpartition("    msg:\n")[2].partition("\nPLAY RECAP")[0])
    missing = [one for one in SENTENCES if not any(word.startswith(one) for word in words)]
    assert missing == []
    # In the error and in its result: once each.
    assert ran.flat.count("There is no facefleet_buckt") == 2
    assert words[-1].startswith("Nothing was changed on any host.")
