"""The short form of the fault matrix: nothing lost, nothing twice."""

from dataclasses import replace

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


def test_no_visit_is_lost_when_the_detector_is_killed() -> None:
    load = replace(SHORT, faces=4 * SHORT.faces, rate=200, visits=True)
    result = run("detector-killed", Facefleet, "mosquitto", 0, load)
    assert result.holds, result
    assert load.faces / 10 <= result.captured == result.stored <= load.faces / 2


def test_a_crowd_drains_without_sending_much_again() -> None:
    crowd = CROWDS["100-outboxes"].short()
    result = run_crowd("100-outboxes", crowd, 90)
    assert result.holds, result
    assert result.captured == result.stored == crowd.all
    assert result.resent <= 0.15 * crowd.all
