"""What `facefleet devices` is told of the inventory, and of ssh."""

import pytest
from desired_devices import MAX_PROBLEM, desired_devices, ssh_problems

STATE = {"content": "0123456789ab", "k3s": None, "cameras": ["door"]}


def test_each_device_has_its_state_and_what_ssh_found():
    hostvars = {
        "jetson-1": {"facefleet_desired_device": STATE, "facefleet_ssh_problem": ""},
        "jetson-2": {"facefleet_desired_device": STATE, "facefleet_ssh_problem": "No route."},
        "jetson-3": {},
    }
    found = desired_devices(hostvars, ["jetson-1", "jetson-2", "jetson-3"])
    assert found == {"jetson-1": {**STATE, "ssh": ""}, "jetson-2": {**STATE, "ssh": "No route."}}
    assert ssh_problems(found) == ["jetson-2: ssh does not reach it: No route."]


@pytest.mark.parametrize("answer", ["x" * 100_000, {"text": "x" * 100_000}, ["x"] * 100_000, 5])
def test_what_a_host_answers_is_a_short_text(answer):
    hostvars = {"jetson-1": {"facefleet_desired_device": STATE, "facefleet_ssh_problem": answer}}
    (device,) = desired_devices(hostvars, ["jetson-1"]).values()
    assert isinstance(device["ssh"], str)
    assert len(device["ssh"]) <= MAX_PROBLEM
