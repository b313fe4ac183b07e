"""What a forwarder would refuse is refused before any change."""

import pytest
import uplink as plugin
from facefleet.settings import ForwarderSettings
from pydantic import ValidationError

SETTINGS = {
    "http": "127.0.0.1:1",
    "device": "edge-1",
    "edge_broker": "mqtt://127.0.0.1:1883",
    "cloud_broker": "mqtt://127.0.0.1:1884",
}
UNITS = "use bits per second, such as 256kbit or 1.5Mbit."


@pytest.mark.parametrize(
    ("rate", "problem"),
    [
        ("256kbit", None),
        ("1.5 Mbit", None),
        ("64kbit", None),
        ("63kbit", "use at least 64kbit."),
        ("0.05Mbit", "use at least 64kbit."),
        ("256", UNITS),
        ("256KB", UNITS),
        ("256kbit/s", UNITS),
        ("-1Mbit", UNITS),
    ],
)
def test_a_rate_is_judged_as_the_forwarder_judges_it(rate, problem):
    sentences = [f"The rate of facefleet_uplink is {rate}: {problem}"] if problem else []
    assert plugin.uplink_problems({"rate": rate}) == sentences
    try:
        ForwarderSettings(**SETTINGS, uplink_rate=rate)
        refused = False
    except ValidationError:
        refused = True
    assert refused == bool(problem)


def test_without_a_rate_the_uplink_is_unlimited():
    assert plugin.uplink_problems({}) == []
    assert ForwarderSettings(**SETTINGS).uplink_rate is None
