"""The module k3s_host, on hosts made of files and of what their commands say."""

import os
from pathlib import Path

import pytest

from support.role_variables import plugin

module = plugin("modules", "k3s_host")

RELEASE = os.uname().release
DATA = "/var/lib/rancher/k3s"


@pytest.fixture
def root(tmp_path):
    """A bare host; it has no k3s, no swap and no modules folder."""
    write(tmp_path, "/proc/meminfo", "MemTotal:        3956584 kB\nMemFree:          100 kB\n")
    write(tmp_path, "/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
    write(tmp_path, "/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    return tmp_path


def write(root, path, text):
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def gather(root, said=None):
    """What the module finds; `said` is what commands say, by their first word."""

    def run(command):
        output = (said or {}).get(Path(command[0]).name)
        return (127, "") if output is None else (0, output)

    return module.Host(run, root).gather("k3s", [31883, 6443, 10250], DATA)


def test_a_bare_host(root):
    free = os.statvfs(root)
    found = gather(root)
    assert found.pop("disk") == pytest.approx(free.f_bavail * free.f_frsize, rel=0.1)
    assert found == {
        "cgroup": 2,
        "controllers": ["cpuset", "cpu", "io", "memory", "pids"],
        "addresses": [],
        "foreign": [],
        "memory": 3956584 * 1024,
        "missing": [],
        "missing_policy_modules": [],
        "node": "",
        "running": "",
        "swap": [],
        "taken": [],
        "units": [],
        "version": "",
    }


def test_a_host_with_our_k3s(root):
    write(root, "/usr/local/bin/k3s", "")
    write(root, "/etc/systemd/system/k3s.service", "Environment=FACEFLEET_K3S=abc\n")
    write(root, "/proc/77/environ", "PATH=/bin\0FACEFLEET_K3S=abc\0HOME=/root\0")
    said = {"k3s": "k3s version v1.36.3+k3s1 (1234567)\ngo version go1.26\n", "systemctl": "77\n"}
    found = gather(root, said)
    assert (found["version"], found["running"]) == ("v1.36.3+k3s1", "abc")
    assert (found["units"], found["foreign"]) == (["k3s"], [])


def test_another_k3s_is_told_from_ours(root):
    write(root, "/etc/systemd/system/k3s.service", "ExecStart=/usr/local/bin/k3s server\n")
    write(root, "/etc/systemd/system/k3s-agent.service", "Environment=FACEFLEET_K3S=abc\n")
    found = gather(root)
    assert (found["units"], found["foreign"]) == (["k3s-agent"], ["k3s.service"])


def test_a_k3s_under_another_name_is_told_from_ours(root):
    install = "[Service]\nExecStart=/usr/local/bin/k3s \\\n    server \\\n"
    write(root, "/etc/systemd/system/k3s-lab.service", install)
    write(root, "/etc/systemd/system/backup.service", "ExecStart=/opt/k3s-backup\n")
    write(root, "/etc/systemd/system/k3s.service", "Environment=FACEFLEET_K3S=abc\n")
    assert gather(root)["foreign"] == ["k3s-lab.service"]


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/bin/k3s",
        "/etc/rancher/k3s/config.yaml",
        f"{DATA}/server/token",
        f"{DATA}/agent/x",
    ],
)
def test_what_a_k3s_of_others_left_is_seen_but_not_what_an_interrupted_run_of_ours_did(root, path):
    write(root, path, "")
    [said] = gather(root)["foreign"]
    assert path.startswith(said)
    write(root, module.RECORD, "jetson-1\n")
    assert gather(root)["foreign"] == []


def test_a_registries_file_alone_is_no_k3s(root):
    write(root, "/etc/rancher/k3s/registries.yaml", "mirrors: {}\n")
    assert gather(root)["foreign"] == []


def test_a_host_knows_the_name_that_it_was_set_up_by(root):
    write(root, module.CONFIG, "disable:\n- traefik\nnode-name: jetson-1\n")
    assert gather(root)["node"] == ""  # somebody else's
    write(root, "/etc/systemd/system/k3s.service", "Environment=FACEFLEET_K3S=abc\n")
    assert gather(root)["node"] == "jetson-1"  # of a version that kept no note
    write(root, module.RECORD, "jetson-2\n")
    assert gather(root)["node"] == "jetson-2"
    write(root, module.RECORD, "{{ a lie }}")
    assert gather(root)["node"] == ""


def test_its_addresses_are_those_of_all_interfaces(root):
    said = "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n"
    said += "2: eth0    inet6 2001:db8::7/64 scope global\\       valid_lft forever\n"
    assert gather(root, {"ip": said})["addresses"] == ["127.0.0.1", "2001:db8::7"]


def test_modules_for_network_policies_are_looked_for_apart(root):
    (root / "lib/modules" / RELEASE).mkdir(parents=True)
    for name in (*module.MODULES, "ip_set"):
        (root / "sys/module" / name).mkdir(parents=True)
    found = gather(root)
    assert found["missing"] == []
    assert found["missing_policy_modules"] == ["ip_set_hash_ip", "ip_set_hash_net", "xt_set"]


def test_a_stopped_k3s_runs_nothing(root):
    assert gather(root, {"systemctl": "0\n"})["running"] == ""


@pytest.mark.parametrize("said", ["", "Segmentation fault", "k3s version"])
def test_a_broken_binary_has_no_version(root, said):
    write(root, "/usr/local/bin/k3s", "")
    assert gather(root, {"k3s": said})["version"] == ""


def test_only_control_groups_that_are_on_count_on_version_1(root):
    (root / "sys/fs/cgroup/cgroup.controllers").unlink()
    table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t90\t1\nmemory\t0\t100\t0\n"
    write(root, "/proc/cgroups", table)
    found = gather(root)
    assert (found["cgroup"], found["controllers"]) == (1, ["cpu"])


def test_a_module_is_there_when_it_is_loaded_or_can_be(root):
    (root / "lib/modules" / RELEASE).mkdir(parents=True)
    (root / "sys/module/overlay").mkdir(parents=True)
    assert gather(root, {"modprobe": ""})["missing"] == []
    assert gather(root)["missing"] == list(module.MODULES[1:])


def test_swap_in_compressed_memory_is_fine(root):
    rows = "/dev/zram0 partition 1 0 5\n/swapfile file 2 0 -2\n/dev/nvme0n1p3 partition 3 0 -3\n"
    write(root, "/proc/swaps", f"Filename\tType\tSize\tUsed\tPriority\n{rows}")
    assert gather(root)["swap"] == ["/swapfile", "/dev/nvme0n1p3"]


def test_a_port_is_taken_by_who_listens_there_and_not_by_a_connection(root):
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    write(root, "/proc/net/tcp", f"{head}   0: 00000000:7C8B 00000000:0000 0A 00000000:00000000\n")
    rows = (
        "   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 0:0\n"
    )
    rows += (
        "   1: 00000000000000000000000000000000:280A 00000000000000000000000000000001:ABCD 01 0:0\n"
    )
    write(root, "/proc/net/tcp6", head + rows)
    assert gather(root)["taken"] == [6443, 31883]
