"""Addresses of an inventory, as networks."""

import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "networks", Path(__file__).parent / "filter_plugins/networks.py"
)
plugin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin)


def test_addresses_and_networks_are_told_once_each():
    given = ["192.0.2.7", "2001:db8::/64", "192.0.2.7/32", " 198.51.100.0/24"]
    assert plugin.networks(given) == ["192.0.2.7/32", "198.51.100.0/24", "2001:db8::/64"]
    assert plugin.networks("192.0.2.7") == ["192.0.2.7/32"]


def test_anywhere_is_taken_by_its_name_alone():
    assert plugin.networks("anywhere") == ["0.0.0.0/0", "::/0"]
    assert plugin.network_problem("anywhere") == ""
    assert "write anywhere" in plugin.network_problem(["192.0.2.7", "0.0.0.0/0"])


@pytest.mark.parametrize("bad", ["camera.example.org", "192.0.2.7/24", "192.0.2.256", ""])
def test_what_is_no_network_has_a_sentence(bad):
    assert plugin.network_problem(bad).startswith(f"{bad}, which is neither an address")
