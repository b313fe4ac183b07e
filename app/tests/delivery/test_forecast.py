"""When a backlog is drained, or the outbox full, if this goes on."""

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.delivery.forecast import (
    FARTHEST,
    MEASURED_OVER,
    SHORTEST,
    SPACING,
    Fill,
    Forecast,
    Forecaster,
    forecast,
)
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health
from prometheus_client import REGISTRY
from pydantic import AnyUrl

LIMIT = 1 << 30
STEP = 2  # seconds, as between two reports


class Flow:
    """An outbox with steady flows, in bytes a second."""

    def __init__(self, pending: int = 0) -> None:
        self.forecaster = Forecaster()
        self.now = 1000.0
        self.fill = Fill(pending, LIMIT, 0, 0)

    def run(self, seconds: float, added: int, settled: int, evicted: int = 0) -> Forecast:
        for _ in range(int(seconds / STEP)):
            self.now += STEP
            fill = self.fill
            self.fill = Fill(
                fill.pending + STEP * (added - settled - evicted),
                LIMIT,
                fill.added + STEP * added,
                fill.settled + STEP * settled,
            )
            found = self.forecaster.update(self.fill, self.now)
        return found


@pytest.mark.parametrize(
    ("pending", "room", "growth", "expected"),
    [
        (10_000, 50_000, -5, Forecast(drained_in=2000)),
        (10_000, 50_000, 5, Forecast(full_in=10_000)),
        (10_000, 0, 5, Forecast(full_in=0)),
        (10_000, 50_000, 0, Forecast()),
        (0, 50_000, 0, Forecast()),
        (FARTHEST, 0, -1, Forecast(drained_in=FARTHEST)),
        (FARTHEST + 1, 0, -1, Forecast()),
        (0, FARTHEST + 1, 1, Forecast()),
    ],
)
def test_the_rule(pending: int, room: int, growth: float, expected: Forecast) -> None:
    assert forecast(pending, room, growth) == expected


def test_nothing_is_forecast_before_it_is_measured() -> None:
    flow = Flow(pending=1_000_000)
    assert flow.run(SHORTEST - STEP, 0, 1000) == Forecast()
    assert flow.run(2 * STEP, 0, 1000).drained_in is not None


def test_a_backlog_drains_at_what_goes_out_less_what_comes_in() -> None:
    flow = Flow(pending=100_000_000)
    found = flow.run(600, 4000, 14_000)
    assert found.drained_in == pytest.approx(flow.fill.pending / 10_000)
    assert found.full_in is None


def test_an_outage_fills_the_outbox() -> None:
    flow = Flow(pending=1000)
    flow.run(600, 4000, 4000)
    found = flow.run(MEASURED_OVER + SPACING, 4000, 0)
    assert found.full_in == pytest.approx((LIMIT - flow.fill.pending) / 4000)
    assert found.drained_in is None


def test_the_end_of_an_outage_is_noticed_within_the_measured_time() -> None:
    flow = Flow()
    flow.run(3600, 4000, 0)
    found = flow.run(MEASURED_OVER + SPACING, 4000, 8000)
    assert found.drained_in == pytest.approx(flow.fill.pending / 4000)


def test_a_full_outbox_that_evicts_is_not_taken_for_one_that_holds() -> None:
    flow = Flow(pending=LIMIT)
    assert flow.run(600, 4000, 1000, evicted=3000).full_in == 0


def test_a_steady_link_has_nothing_to_forecast() -> None:
    assert Flow(pending=5000).run(600, 4000, 4000) == Forecast()


def test_only_a_few_measurements_are_kept() -> None:
    flow = Flow()
    flow.run(7200, 1, 1)
    assert len(flow.forecaster._measured) < 40


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(f"facefleet_outbox_{name}")


def test_status_and_metrics_have_the_forecast_of_a_backlog(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", "edge-1", "front", 1 << 20)
    sender = Sender(outbox, AnyUrl("mqtt://127.0.0.1:1"), 0, 64, Health())
    sender._update_forecast(0)
    assert math.isnan(metric("full_in_seconds"))
    outbox.add((datetime.now(UTC), b"%d" % n + bytes(1022)) for n in range(10, 74))
    sender._update_forecast(64)
    assert metric("pending_bytes") == 64 << 10
    room = (1 << 20) - (64 << 10)
    assert sender._state()["full_in"] == metric("full_in_seconds") == room / 1024
    assert sender._state()["drained_in"] is None
    outbox.add([(datetime.now(UTC), bytes((1 << 20) - (64 << 10)))])  # full to the last byte
    sender._update_forecast(66)
    assert metric("full_in_seconds") == 0
    assert sender._state()["full_in"] == 1  # 0 would be left out
    seqs = [(seq, outbox.pending_tag(seq)) for seq in range(1, 66)]
    outbox.record_outcomes(seqs)
    sender._update_forecast(68)
    assert math.isnan(metric("full_in_seconds"))
    assert math.isnan(metric("drained_in_seconds"))
    assert sender._state()["full_in"] is None
    sender._loop.close()
    outbox.close()
