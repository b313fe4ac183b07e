"""What the role k3s refuses before it changes anything."""

import hashlib
import re

import pytest

from support.role_variables import RoleVariables

ROLE = RoleVariables("k3s")
HEALTHY = {
    "cgroup": 2,
    "controllers": ["cpu", "cpuset", "memory", "pids"],
    "missing": [],
    "swap": [],
    "memory": 8 << 30,
    "disk": 50 << 30,
    "taken": [],
    "version": "",
    "foreign": [],
    "missing_policy_modules": [],
    "node": "",
    "addresses": ["127.0.0.1", "192.0.2.7"],
    "units": [],
    "running": "",
}
SUM = hashlib.sha256(b"a release").hexdigest()


def problems(probe=(), architecture="aarch64", **variables):
    """The sentences for a Jetson that is `HEALTHY`, but for what `probe` says of it."""
    facts = {
        "distribution": "Ubuntu",
        "distribution_version": "22.04",
        "distribution_major_version": "22",
        "architecture": architecture,
    }
    return ROLE.value(
        "__k3s_problems",
        __k3s_probe=HEALTHY | dict(probe),
        ansible_facts=facts,
        inventory_hostname="jetson-1",
        facefleet_broker_nodeport=31883,
        groups={"all": ["jetson-1"]},
        hostvars={},
        **variables,
    )


@pytest.mark.parametrize("architecture", ["aarch64", "x86_64"])
def test_the_default_release_is_known_by_its_checksum(architecture):
    assert problems(architecture=architecture) == []


def test_a_release_without_a_known_checksum_is_refused():
    [said] = problems(k3s_version="v1.36.9+k3s1")
    assert said.startswith("The checksum of k3s-arm64 in k3s v1.36.9+k3s1 is unknown: ")
    assert "k3s_checksums to {'v1.36.9+k3s1': {k3s-arm64: ...}}" in said


def test_a_checksum_of_the_other_architecture_is_none():
    given = {"v1.36.9+k3s1": {"k3s": SUM}}
    assert problems(k3s_version="v1.36.9+k3s1", k3s_checksums=given, architecture="x86_64") == []
    assert problems(k3s_version="v1.36.9+k3s1", k3s_checksums=given) != []


@pytest.mark.parametrize("given", ["", "sha256:" + SUM, SUM[:-1]])
def test_what_cannot_be_a_checksum_is_none(given):
    checksums = {"v1.36.9+k3s1": {"k3s-arm64": given}}
    assert problems(k3s_version="v1.36.9+k3s1", k3s_checksums=checksums) != []


def test_what_is_installed_already_needs_none():
    assert problems({"version": "v1.36.9+k3s1"}, k3s_version="v1.36.9+k3s1") == []


def test_every_known_checksum_is_one():
    for version, files in ROLE.value("__k3s_known_checksums").items():
        assert re.fullmatch(r"v1\.\d+\.\d+\+k3s\d+", version)
        assert set(files) <= {"k3s", "k3s-arm64"}
        assert all(re.fullmatch("[0-9a-f]{64}", known) for known in files.values())


def test_a_known_checksum_outranks_the_list_in_the_folder_of_a_release(tmp_path):
    (tmp_path / "sha256sum-arm64.txt").write_text(f"{SUM}  k3s-arm64\n{SUM}  images\n")
    sums = ROLE.value(
        "__k3s_airgap_checksums",
        k3s_airgap_dir=str(tmp_path),
        ansible_facts={"architecture": "aarch64"},
    )
    known = ROLE.value("__k3s_known_checksums")[ROLE.value("k3s_version")]["k3s-arm64"]
    assert sums["k3s-arm64"] == known != SUM
    assert sums["images"] == SUM


def test_a_host_that_was_set_up_by_another_name_is_refused():
    assert problems({"node": "jetson-1"}) == []
    [said] = problems({"node": "jetson-9"})
    assert "was set up as jetson-9, but its name in the inventory is jetson-1." in said


def test_a_k3s_of_somebody_else_is_refused():
    [said] = problems({"foreign": ["k3s-lab.service", "/var/lib/rancher/k3s/server"]})
    assert "did not install (k3s-lab.service, /var/lib/rancher/k3s/server): remove it" in said


@pytest.mark.parametrize(
    ("known", "moved"),
    [("192.0.2.7", False), ("192.0.2.99", True), ("192.0.2.7 2001:db8::9", True), ("", False)],
)
def test_a_node_has_moved_where_its_host_has_lost_the_address(known, moved):
    variables = {"__k3s_node_addresses": {"stdout": known}, "__k3s_probe": HEALTHY}
    assert ROLE.value("__k3s_address_changed", **variables) is moved


@pytest.mark.parametrize(
    ("probe", "config", "lacks"),
    [
        ([], {}, False),
        (["xt_set"], {}, True),
        ([], {"disable-network-policy": True}, True),
        ([], {"disable-network-policy": "false"}, False),
    ],
)
def test_the_firewall_takes_the_place_of_policies(probe, config, lacks):
    variables = {"__k3s_probe": HEALTHY | {"missing_policy_modules": probe}, "k3s_config": config}
    assert ROLE.value("__k3s_policies_unsupported", **variables) is lacks


def test_the_firewall_knows_the_networks_of_pods_and_services():
    assert ROLE.value("__k3s_networks") == ["10.42.0.0/16", "10.43.0.0/16"]
    given = {"cluster-cidr": "10.9.0.0/16,fd09::/56", "service-cidr": ["10.8.0.0/16", "fd08::/112"]}
    networks = ROLE.value("__k3s_networks", k3s_config=given)
    assert networks == ["10.9.0.0/16", "fd09::/56", "10.8.0.0/16", "fd08::/112"]


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("192.0.2.7", "https://192.0.2.7:6443"),
        ("jetson-1.example.org", "https://jetson-1.example.org:6443"),
        ("2001:db8::7", "https://[2001:db8::7]:6443"),
        ("[2001:db8::7]", "https://[2001:db8::7]:6443"),
    ],
)
def test_an_agent_finds_its_server_by_any_address(address, url):
    config = ROLE.value(
        "__k3s_configs",
        k3s_server_address=address,
        inventory_hostname="b",
        facefleet_broker_nodeport=1,
    )
    assert config["agent"]["server"] == url
