"""The short form of the fault matrix: nothing lost, nothing twice."""

import pytest

from benchmarks.crowd import CROWDS
from benchmarks.faults import SHORT, run, run_crowd
from benchmarks.fleet import Facefleet


@pytest.mark.parametrize(
    ("row", "broker", "qos", "server"),
    [
        ("clean", "mosquitto", 0, "moto"),
        ("detector-killed", "mosquitto", 0, "s3"),
        ("processor-killed", "mosquitto", 0, "s3"),
        ("messages-lost", "mosquitto", 0, "s3"),
        ("outbox-restored", "mosquitto", 0, "s3"),
        ("brokers-wiped", "mosquitto", 1, "s3"),
        ("forwarder-killed", "embedded", 0, "s3"),
    ],
)
def test_nothing_is_lost_or_doubled(row: str, broker: str, qos: int, server: str) -> None:
    result = run(row, Facefleet, broker, qos, SHORT, server)
    assert result.holds, result
    assert result.captured == result.stored == SHORT.faces


def test_a_crowd_drains_without_sending_much_again() -> None:
    crowd = CROWDS["100-outboxes"].short()
    result = run_crowd("100-outboxes", crowd, 90)
    assert result.holds, result
    assert result.captured == result.stored == crowd.all
    assert result.resent <= 0.15 * crowd.all
