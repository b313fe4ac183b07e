"""playbooks/status.yml with the services as processes, and a device that ssh does not reach."""

import json

import yaml

from support.playbooks import ROOT, play
from support.rig import BIN, BUCKET, Rig, await_true, free_port
from support.shell import facefleet


def inventory(folder, processor_port):
    """A cloud and two devices, of which the second is behind a closed port."""
    local = yaml.safe_load((ROOT / "inventories/local/group_vars/all.yml").read_text())
    closed = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": free_port()}
    camera = {"name": "front", "source": "sample:hopper"}
    devices = {
        "edge-1": {"facefleet_base_port": 31_900},
        "edge-2": {"facefleet_base_port": 31_930, **closed},
    }
    groups = {
        "cloud": {"hosts": {"cloud-1": {}}},
        "edge": {"hosts": devices, "vars": {"facefleet_cameras": [camera]}},
    }
    variables = {
        **local,
        "facefleet_bin_dir": str(BIN),
        "facefleet_state_dir": str(folder / "state"),
        "facefleet_processor_port": processor_port,
        "facefleet_broker_implementation": "amqtt",
    }
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"all": {"children": groups, "vars": variables}}))
    return path


def test_it_tells_of_devices_that_ssh_does_not_reach(tmp_path):
    with Rig(tmp_path) as rig:
        _, edge = rig.mosquitto("edge")
        _, cloud = rig.mosquitto("cloud")
        _, endpoint = rig.moto()
        port = free_port()
        url = f"mqtt://127.0.0.1:{cloud}"
        processor, _ = rig.service(
            "processor",
            broker=url,
            bucket=BUCKET,
            http=f"127.0.0.1:{port}",
            AWS_ENDPOINT_URL=endpoint,
        )
        record = tmp_path / "deployed.json"
        record.write_text('{"content": "0123456789ab", "k3s": null, "configuration": null}')
        for device in ("edge-1", "edge-2"):
            forwarder, _ = rig.service(
                "forwarder",
                instance=device,
                device=device,
                edge_broker=f"mqtt://127.0.0.1:{edge}",
                cloud_broker=url,
                deployed=record,
            )

        def heard():
            told = facefleet("devices", "--json", PROCESSOR=f"127.0.0.1:{port}").stdout
            return [device["content"] for device in json.loads(told)["devices"].values()]

        await_true(lambda: heard() == ["0123456789ab"] * 2, "both have reported")
        forwarder.kill()
        end = {"ansible.builtin.command": f"kill -KILL {processor.pid}", "check_mode": False}
        status = {"ansible.builtin.import_playbook": str(ROOT / "playbooks/status.yml")}
        plays = [status, {"hosts": "cloud", "gather_facts": False, "tasks": [end]}, status]
        (tmp_path / "plays.yml").write_text(yaml.safe_dump(plays))
        hosts, path = inventory(tmp_path, port), tmp_path / "status.json"

        ran = play("playbooks/status.yml", hosts, f"-efacefleet_status_file={path}")
        assert ran.code == 0, ran.output
        assert set(ran.changed.values()) == {0}
        found = json.loads(path.read_text())["devices"]
        assert found["edge-1"]["ssh"] == "reached"
        assert set(found["edge-1"]["drift"]) == {"content"}
        assert found["edge-2"]["heard"] < found["edge-2"]["link_since"]

        ran = play(tmp_path / "plays.yml", hosts, "--check")
        table, _, failure = ran.output.partition("Ask the processor on this machine")
        lines = [line.strip() for line in table.splitlines()]
        assert [line.split()[:2] for line in lines if line.startswith("edge-")][:2] == [
            ["edge-1", "up"],
            ["edge-2", "down"],
        ]
        said = {line for line in lines if line.startswith(("edge-1:", "edge-2:"))}
        silent = "edge-1: Camera front: It has sent no status: check whether its detector runs."
        assert silent in said
        assert any(line.startswith("edge-2: ssh does not reach it: ") for line in said), said
        assert any(line.startswith("edge-2: It is cut off from the cloud since") for line in said)

        assert ran.code != 0
        assert "cloud-1: facefleet: no answer from the processor at 127.0.0.1:" in failure
        assert "edge-2: ssh does not reach it: " in failure
        assert not (tmp_path / "state").exists()
