"""What the role k3s refuses before it changes anything."""

import hashlib
import re

import pytest
from role_variables import RoleVariables

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
    "foreign_units": [],
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
        facefleet_nodeport=31883,
        groups={"all": ["jetson-1"]},
        hostvars={},
        **variables,
    )


@pytest.mark.parametrize("architecture", ["aarch64", "x86_64"])
def test_the_default_release_is_known_by_its_checksum(architecture):
    assert problems(architecture=architecture) == []


def test_a_release_without_a_known_checksum_is_refused():
    [said] = problems(k3s_version="v1.36.9+k3s1")
    assert said.startswith("The checksum of k3s-arm64 in k3s v1.36.9+k3s1 is not known: ")
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
        "__k3s_airgap_sums",
        k3s_airgap_dir=str(tmp_path),
        ansible_facts={"architecture": "aarch64"},
    )
    known = ROLE.value("__k3s_known_checksums")[ROLE.value("k3s_version")]["k3s-arm64"]
    assert sums["k3s-arm64"] == known != SUM
    assert sums["images"] == SUM
