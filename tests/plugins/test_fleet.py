"""The plan of a host, from the entries of its services."""

import graphlib

import fleet
import pytest

POD = {
    "group": "edge",
    "runtime": "k3s",
    "first_port": 31900,
    "certificates": "/pki",
    "content_hash": "",
}
PROCESS = {**POD, "runtime": "process", "content_hash": "1"}
BROKER = {
    "runs_on": ["cloud", "edge"],
    "command": ["mosquitto"],
    "image": "broker",
    "config_files": {"mosquitto.conf": "listener 1883"},
    "ready_url": "tcp://0.0.0.0:1883",
    "port_variable": "facefleet_base_port",
}
FORWARDER = {
    "runs_on": ["edge"],
    "starts_after": ["broker"],
    "command": ["facefleet", "forwarder"],
    "image": "forwarder",
    "port_offset": 1,
    "environment": {"FACEFLEET_DEVICE": "edge-1"},
    "certificate": {"name": "edge-1", "usage": "clientAuth"},
    "connects_to": ["broker", "mqtts://192.0.2.9:31883"],
    "kubernetes": {"strategy": "Recreate"},
}
GALLERY = {"runs_on": ["cloud"], "starts_after": ["broker"], "image": "gallery", "port": 8088}
S3 = {"runs_on": ["s3"], "command": ["s3"], "ready_url": "tcp://127.0.0.1:9000"}
KINDS = {
    "forwarder": {"forwarder": FORWARDER},
    "gallery": {"gallery": GALLERY},
    "s3": {"s3": S3},
    "broker": {
        "broker": BROKER,
        "broker-address": {"runs_on": ["edge"], "ready_url": "tcp://broker:1883"},
    },
}


def test_a_host_has_the_services_of_its_group_in_firing_order():
    assert list(fleet.fleet_plan(KINDS, POD)["services"]) == [
        "broker",
        "broker-address",
        "forwarder",
    ]
    cloud = fleet.fleet_plan(KINDS, {**POD, "group": "cloud"})
    assert list(cloud["services"]) == ["broker", "gallery"]
    assert list(cloud["s3"]) == ["s3"]
    assert cloud["images"] == ["broker", "gallery"]


def test_a_service_that_waits_for_itself_is_refused():
    kinds = {**KINDS, "broker": {"broker": {**BROKER, "starts_after": ["forwarder"]}}}
    with pytest.raises(graphlib.CycleError):
        fleet.fleet_plan(kinds, POD)


def test_a_process_has_a_port_of_its_own_and_a_pod_an_address():
    process = fleet.fleet_plan(KINDS, PROCESS)["services"]["forwarder"]
    assert process["environment"]["FACEFLEET_HTTP"] == "127.0.0.1:31901"
    assert process["ready_url"] == "http://127.0.0.1:31901/readyz"
    assert process["port_variable"] == "facefleet_base_port"
    pod = fleet.fleet_plan(KINDS, POD)["services"]["forwarder"]
    assert pod["ready_url"] == "http://0.0.0.0:8080/readyz"
    gallery = fleet.fleet_plan(KINDS, {**PROCESS, "group": "cloud"})["services"]["gallery"]
    assert gallery["ready_url"] == "http://127.0.0.1:8088/readyz"


def test_only_a_pod_is_told_what_kubernetes_needs():
    pod = fleet.fleet_plan(KINDS, POD)["services"]["forwarder"]
    process = fleet.fleet_plan(KINDS, PROCESS)["services"]["forwarder"]
    assert (pod["image"], pod["kubernetes"]) == ("facefleet-forwarder", {"strategy": "Recreate"})
    assert "content_hash" not in pod
    assert not {"image", "kubernetes"} & set(process)
    assert process["content_hash"] == "1"


def test_another_service_moves_no_port():
    notifier = {"notifier": {"notifier": {**FORWARDER, "port_offset": 4, "image": "notifier"}}}
    before = fleet.fleet_plan(KINDS, PROCESS)["services"]
    after = fleet.fleet_plan({**notifier, **KINDS}, PROCESS)["services"]
    assert {name: entry["ready_url"] for name, entry in after.items() if name in before} == {
        name: entry["ready_url"] for name, entry in before.items()
    }


def test_two_services_with_one_port_offset_are_refused():
    notifier = {"notifier": {"notifier": {**FORWARDER, "image": "notifier"}}}
    with pytest.raises(ValueError, match="forwarder and notifier have the same port_offset"):
        fleet.fleet_plan({**KINDS, **notifier}, PROCESS)


def test_a_certificate_is_in_a_folder_that_its_service_alone_reads():
    plan = fleet.fleet_plan(KINDS, POD)
    folder = "/pki/forwarder"
    assert plan["certificates"] == [{"folder": folder, "name": "edge-1", "usage": "clientAuth"}]
    assert plan["services"]["forwarder"]["environment"]["FACEFLEET_TLS"] == folder
    assert plan["services"]["forwarder"]["read_only_paths"] == [folder]
    assert plan["services"]["broker"]["read_only_paths"] == []
    plain = fleet.fleet_plan(KINDS, {**PROCESS, "certificates": ""})["services"]["forwarder"]
    assert (plain["environment"]["FACEFLEET_TLS"], plain["read_only_paths"]) == ("", [])


def test_a_broker_reads_its_certificate_again_and_is_told_nothing():
    certificate = {"name": "broker.facefleet", "usage": "serverAuth"}
    broker = {**BROKER, "certificate": certificate, "reload_certificate": True}
    made = fleet.fleet_plan({"broker": {"broker": broker}}, POD)["services"]["broker"]
    assert made["reload_on_change"] == "/pki/broker"
    assert made["environment"] == {}


def test_flows_are_those_of_whom_a_service_connects_to_and_whom_it_accepts():
    kinds = {**KINDS, "broker": {"broker": {**BROKER, "accepts_from": ["anywhere"]}}}
    assert fleet.fleet_plan(kinds, POD)["flows"] == [
        {"from": "anywhere", "to": "broker", "port": 1883},
        {"from": "forwarder", "to": "broker", "port": 1883},
        {"from": "forwarder", "to": "192.0.2.9/32", "port": 31883},
    ]
    assert fleet.fleet_plan(kinds, PROCESS)["flows"] == []


def test_a_service_that_is_not_there_is_no_address():
    kinds = {**KINDS, "gallery": {"gallery": {**GALLERY, "connects_to": ["brokre"]}}}
    with pytest.raises(ValueError, match="brokre"):
        fleet.fleet_plan(kinds, {**POD, "group": "cloud"})


@pytest.mark.parametrize(
    ("url", "end", "port"),
    [
        ("mqtts://192.0.2.7:31883", "192.0.2.7/32", 31883),
        ("mqtts://[2001:db8::7]:31883", "2001:db8::7/128", 31883),
        ("mqtts://cloud.example.org:31883", "anywhere", 31883),
        ("mqtts://:31883", "anywhere", 31883),  # of a VM that is not made yet
        ("https://s3.example.org", "anywhere", 443),
        ("http://10.0.0.1:9000/faces", "10.0.0.1/32", 9000),
        ("rtsp://user:pass@192.0.2.50/stream1", "192.0.2.50/32", 554),
        ("rtsps://192.0.2.50/stream1", "192.0.2.50/32", 322),
    ],
)
def test_an_address_is_all_that_is_let_through_and_a_name_is_a_port(url, end, port):
    assert fleet.flow_out(url) == {"to": end, "port": port}
