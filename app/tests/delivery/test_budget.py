"""What a device sends stays within a rate, and what waits for it takes one place."""

import pytest
from facefleet.delivery.budget import (
    BURST,
    HEADERS,
    MAX_WAITING,
    Budget,
    Waiting,
    message_budget,
    wire_size,
)

RATE = 8000  # bytes a second


def test_what_is_sent_stays_within_the_rate() -> None:
    budget, now, sent = Budget(RATE), 100.0, 0
    sizes = [700, 9000, 100, 3000] * 100
    for size in sizes:
        now += budget.wait(now)
        assert budget.wait(now) == pytest.approx(0)
        sent += size
        budget.spend(size, now)
        assert sent - max(sizes) <= RATE * (now - 100 + BURST) + 1e-6
    assert now - 100 == pytest.approx(sum(sizes) / RATE, rel=0.02)


def test_a_pause_saves_no_more_than_a_burst() -> None:
    budget = Budget(RATE)
    budget.spend(RATE, 1000)
    assert budget.wait(1000) == pytest.approx(1 - BURST)
    assert budget.wait(2000) == 0
    budget.spend(RATE, 2000)
    assert budget.wait(2000) == pytest.approx(1 - BURST)


@pytest.mark.parametrize("most", [1, 3, 100])
def test_no_second_has_more_messages_than_allowed(most: int) -> None:
    budget, now, sent = message_budget(most), 100.0, []
    for _ in range(5 * most):
        now += budget.wait(now)
        budget.spend(1, now)
        sent.append(now)
    assert max(sum(begin <= at < begin + 1 for at in sent) for begin in sent) <= most
    assert now - 100 < 6.5


def test_headers_count() -> None:
    assert wire_size("t" * 50, bytes(950)) == 1000 + HEADERS
    assert wire_size("t" * 50, bytes(2750)) == 2800 + 3 * HEADERS


def test_messages_leave_in_the_order_of_their_arrival_and_once() -> None:
    waiting = Waiting()
    for topic in ("a", "b", "a", "c", "a"):
        assert waiting.put(topic, topic.encode())
    assert [waiting.take() for _ in range(3)] == [("a", b"a"), ("b", b"b"), ("c", b"c")]
    assert not waiting
    assert waiting.put("a", b"a")  # it has been sent, and may have been lost
    assert waiting.clear() == 1
    assert not waiting


def test_what_waits_is_bounded() -> None:
    waiting = Waiting()
    third = bytes(MAX_WAITING // 3)
    assert [waiting.put(topic, third) for topic in "abcd"] == [True, True, True, False]
    waiting.take()
    assert waiting.put("d", third)
