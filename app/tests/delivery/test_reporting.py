"""When a detector's status is sent."""

import pytest
from facefleet.delivery.reporting import COUNTS_EVERY, STATUS_EVERY, Reporting

STATUS = {
    "state": "online",
    "camera": "ok",
    "fps": 4.9,
    "captured": 7,
    "stored": 7,
    "pending": 0,
    "dead": 0,
    "p50": 0.02,
}


@pytest.fixture
def reporting() -> Reporting:
    reporting = Reporting()
    reporting.published(STATUS, 100)
    return reporting


def test_the_first_status_is_due_and_so_is_the_first_on_each_connection() -> None:
    reporting = Reporting()
    assert reporting.is_due(STATUS, 0)
    reporting.published(STATUS, 0)
    assert not reporting.is_due(STATUS, 1)
    reporting.restart()
    assert reporting.is_due(STATUS, 1)


@pytest.mark.parametrize(
    "news",
    [
        {"camera": "The camera was unplugged."},
        {"dead": 1},
        {"epoch": "0badcafe"},
    ],
)
def test_a_change_of_state_is_due_immediately(reporting: Reporting, news: dict) -> None:
    assert reporting.is_due({**STATUS, **news}, 100.1)


@pytest.mark.parametrize(
    ("before", "after"),
    [({"captured": 0}, {"captured": 1}), ({"stored": 0}, {"stored": 1}), ({"p50": None}, {})],
)
def test_the_first_face_is_due_immediately(before: dict, after: dict) -> None:
    reporting = Reporting()
    reporting.published({**STATUS, **before}, 100)
    assert reporting.is_due({**STATUS, **after}, 100.1)


@pytest.mark.parametrize("measured", [{"oldest": 5}, {"hour": 1}, {"disk": 84_000}, {"p50": 0.3}])
def test_what_always_varies_is_sent_with_the_next_status(measured: dict) -> None:
    reporting = Reporting()
    reporting.published({**STATUS, "disk": 84_200, "oldest": None, "hour": 0}, 100)
    changed = {**STATUS, "disk": 84_200, "oldest": None, "hour": 0, **measured}
    assert not reporting.is_due(changed, 100 + STATUS_EVERY - 0.1)
    assert reporting.is_due(changed, 100 + STATUS_EVERY)


@pytest.mark.parametrize("count", [{"captured": 8}, {"stored": 8}, {"pending": 1}])
def test_counts_that_grow_wait(reporting: Reporting, count: dict) -> None:
    assert not reporting.is_due({**STATUS, **count}, 100 + COUNTS_EVERY - 0.1)
    assert reporting.is_due({**STATUS, **count}, 100 + COUNTS_EVERY)


@pytest.mark.parametrize(
    "now", [STATUS, {**STATUS, "fps": 5.1, "p50": 0.03}, {**STATUS, "drained_in": 60}]
)
def test_without_a_change_a_status_is_due_once_a_minute(reporting: Reporting, now: dict) -> None:
    assert not reporting.is_due(now, 100 + STATUS_EVERY - 0.1)
    assert reporting.is_due(now, 100 + STATUS_EVERY)


def test_a_forecast_that_comes_and_goes_is_not_sent_for_its_own_sake() -> None:
    reporting = Reporting()
    now = 100.0
    sent = 0
    for turn in range(60):
        status = {**STATUS, "full_in": 3600 - turn} if turn % 2 else STATUS
        if reporting.is_due(status, now):
            reporting.published(status, now)
            sent += 1
        now += 2
    assert sent == 2
