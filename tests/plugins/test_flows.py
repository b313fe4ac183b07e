"""From the addresses that services are told, to the flows that let them out."""

import flows as plugin
import pytest


@pytest.mark.parametrize(
    ("url", "end", "port"),
    [
        ("mqtts://192.0.2.7:31883", "192.0.2.7/32", 31883),
        ("mqtts://[2001:db8::7]:31883", "2001:db8::7/128", 31883),
        ("mqtts://cloud.example.org:31883", "anywhere", 31883),
        ("https://s3.example.org", "anywhere", 443),
        ("http://10.0.0.1:9000/faces", "10.0.0.1/32", 9000),
        ("rtsp://user:pass@192.0.2.50/stream1", "192.0.2.50/32", 554),
        ("rtsps://192.0.2.50/stream1", "192.0.2.50/32", 322),
    ],
)
def test_an_address_is_all_that_is_let_through_and_a_name_is_a_port(url, end, port):
    assert plugin.flows_out([("detector-yard", url)]) == [
        {"from": "detector-yard", "to": end, "port": port}
    ]
