"""One budget for a device's disk: outboxes, images, and what the kubelet wants to be free."""

import pytest
from facefleet.delivery.outbox import RESERVE

from support.role_variables import RoleVariables, plugin

disk_budget = plugin("modules", "disk_budget")
GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20", 20),
        ("1KB", 1000),
        ("1 KiB", 1024),
        ("2M", 2 * 10**6),
        ("20GiB", 20 * GIB),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes_are_those_of_the_services(text, number):
    assert disk_budget.size(text) == number


def test_what_fits_is_no_problem():
    assert disk_budget.problem("5GiB", 2, room=15 * GIB, others=4 * GIB, reserve=GIB) is None


def test_the_outboxes_of_all_cameras_count():
    said = disk_budget.problem("6GiB", 3, room=15 * GIB, others=0, reserve=GIB // 2)
    assert said.startswith("facefleet_outbox_max_size is 6GiB, which is 18GiB for 3 cameras. ")
    assert said.endswith(": set facefleet_outbox_max_size to 4949MiB or less.")
    assert disk_budget.problem("4949MiB", 3, room=15 * GIB, others=0, reserve=GIB // 2) is None


def test_a_bound_beyond_any_disk_is_a_problem():
    said = disk_budget.problem("20TiB", 1, room=30 * GIB, others=4 * GIB, reserve=GIB // 2)
    assert "20TiB for 1 camera. With 4096MiB for software yet to be installed and 512MiB" in said
    assert "more than the 30GiB of free disk space on this host" in said


def test_where_no_bound_would_fit_the_disk_is_too_full():
    said = disk_budget.problem("1GiB", 2, room=GIB, others=4 * GIB, reserve=GIB // 2)
    assert said.endswith(": free at least 5632MiB.")


def test_a_device_without_cameras_has_no_outbox():
    assert disk_budget.problem("20TiB", 0, room=GIB, others=0, reserve=0) is None


def test_what_the_outboxes_take_already_is_room_for_them(tmp_path):
    free = disk_budget.disk_room(tmp_path / "not/there/yet", "outbox-*.sqlite*")
    outbox = tmp_path / "outbox-front.sqlite"
    with outbox.open("wb") as file:
        file.truncate(1 << 43)  # of which nothing is written
    room = disk_budget.disk_room(tmp_path, "outbox-*.sqlite*")
    assert abs(room - free - (1 << 43)) < GIB  # other processes write meanwhile


def test_the_outboxes_leave_free_more_than_the_kubelet_asks_for():
    """Else it would evict the pods that empty them."""
    [hard] = [
        argument
        for argument in RoleVariables("k3s").value("__k3s_kubelet_arguments")
        if argument.startswith("eviction-hard=")
    ]
    signals = dict(part.split("<") for part in hard.removeprefix("eviction-hard=").split(","))
    assert set(signals) == {"nodefs.available", "imagefs.available"}
    for asked in signals.values():
        assert disk_budget.size(asked) + (128 << 20) <= RESERVE
    assert RoleVariables("facefleet").value("__facefleet_disk_reserve") == RESERVE
