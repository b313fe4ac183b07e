"""What a forwarder would refuse is refused before any change."""

import pytest
import uplink as plugin
from facefleet.hours import Hours
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


@pytest.mark.parametrize(
    ("hours", "problem"),
    [
        ("22-06", None),
        ("8:30-17 Europe/Berlin", None),
        ("22", ": use hours such as 22-06 (UTC) or 22:30-06:00 Europe/Berlin."),
        ("24-6", ": use hours such as 22-06 (UTC) or 22:30-06:00 Europe/Berlin."),
        ("22-06  UTC", ": use hours such as 22-06 (UTC) or 22:30-06:00 Europe/Berlin."),
        ("6-06:00", ", which end when they begin: use another end."),
    ],
)
def test_hours_are_judged_as_the_detector_judges_them(hours, problem):
    told = [f"The window_hours of facefleet_uplink are {hours}{problem}"] if problem else []
    assert plugin.uplink_problems({"window_hours": hours}) == told
    try:
        Hours.parse(hours)
        refused = False
    except ValueError:
        refused = True
    assert refused == bool(problem)


def test_without_a_rate_the_uplink_is_unlimited():
    assert plugin.uplink_problems({}) == []
    assert ForwarderSettings(**SETTINGS).uplink_rate is None
