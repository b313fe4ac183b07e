"""Addresses of hosts, as people write them."""

import addresses as plugin
import pytest


@pytest.mark.parametrize(
    ("host", "url", "san"),
    [
        ("192.0.2.7", "mqtts://192.0.2.7:31883", "IP:192.0.2.7"),
        ("cloud.example.org", "mqtts://cloud.example.org:31883", "DNS:cloud.example.org"),
        ("2001:db8::7", "mqtts://[2001:db8::7]:31883", "IP:2001:db8::7"),
        ("[2001:db8::7]", "mqtts://[2001:db8::7]:31883", "IP:2001:db8::7"),
        ("2001:DB8:0:0::7", "mqtts://[2001:DB8:0:0::7]:31883", "IP:2001:db8::7"),
    ],
)
def test_a_host_in_a_url_and_in_a_certificate(host, url, san):
    assert plugin.host_url("mqtts", host, 31883) == url
    assert plugin.host_url("mqtts", host, "31883") == url
    assert plugin.san(host) == san


@pytest.mark.parametrize(
    ("host", "by_name", "address"),
    [
        ({"ansible_host": "192.0.2.7"}, False, "192.0.2.7"),
        ({"ansible_host": "[2001:db8::7]"}, True, "2001:db8::7"),
        ({}, True, "cloud.example.org"),
        ({}, False, ""),  # a VM that is not made yet
    ],
)
def test_where_ansible_reaches_a_host(host, by_name, address):
    host = {"inventory_hostname": "cloud.example.org", **host}
    assert plugin.reached_at(host, by_name) == address
