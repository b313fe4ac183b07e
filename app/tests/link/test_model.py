"""The rules of a link, by numbers that are computed by hand."""

import pytest

from benchmarks.link.model import Line, Link

START = 1000.0


def line(**properties: float) -> Line:
    return Line(Link(**{"rate": 8000, "round_trip": 0.5, "buffer": 2.0, **properties}), 1, START)


def test_a_packet_arrives_after_its_transmission_and_half_a_round_trip() -> None:
    assert line().send(500, START) == pytest.approx(START + 0.5 + 0.25)


def test_packets_are_sent_one_after_the_other_and_none_earlier_than_it_came() -> None:
    link = line()
    assert link.send(500, START) == pytest.approx(START + 0.75)
    assert link.send(1000, START + 0.1) == pytest.approx(START + 1.75)
    assert link.send(100, START + 5) == pytest.approx(START + 5.35)


def test_at_most_the_rate_gets_through() -> None:
    link = line(rate=128_000)
    sent = 0
    for turn in range(1000):  # twice as much as the line can carry, for 10 seconds
        sent += link.send(320, START + turn / 100) is not None
    assert sent * 320 == pytest.approx(160_000 + 256_000 / 8, rel=0.01)  # and a queue of 2 s


def test_a_packet_that_finds_the_queue_full_is_dropped_and_not_sent() -> None:
    link = line()  # a queue of 2000 bytes, but at least two full packets
    assert [link.send(1500, START) is not None for _ in range(3)] == [True, True, False]
    assert link.traffic.dropped == 1
    assert link.traffic.bytes == 3000
    # After a second, 1000 bytes of the queue have been sent.
    assert link.send(1500, START + 1) is None
    assert link.send(1000, START + 1) == pytest.approx(START + 4.25)


def test_the_queue_holds_what_the_line_sends_in_its_seconds() -> None:
    assert Link(rate=128_000, round_trip=0.3, buffer=1).queue == 16_000


def test_the_same_seed_loses_the_same_packets() -> None:
    def lost(seed: int) -> list[int]:
        link = Line(Link(rate=1e9, round_trip=0, loss=0.02), seed, START)
        return [n for n in range(5000) if link.send(100, START + n) is None]

    assert lost(1) == lost(1) != lost(2)
    assert 70 <= len(lost(1)) <= 130


def test_what_is_lost_has_been_sent() -> None:
    link = line(loss=1.0)
    assert link.send(500, START) is None
    assert (link.traffic.bytes, link.traffic.packets, link.traffic.lost) == (500, 1, 1)
    assert link.traffic.dropped == 0


def test_an_outage_is_in_the_middle_of_each_period() -> None:
    link = Link(rate=8000, round_trip=0, outage=30, period=300)
    down = [second for second in range(600) if link.is_down(second + 0.5)]
    assert down == [*range(135, 165), *range(435, 465)]


def test_nothing_gets_through_during_an_outage() -> None:
    link = line(outage=30, period=300)
    assert link.send(100, START + 134) is not None
    assert link.send(100, START + 136) is None
    assert link.send(100, START + 166) is not None
    assert link.traffic.lost == 1


def test_a_packet_whose_turn_comes_during_an_outage_is_lost() -> None:
    link = line(outage=30, period=300)
    assert link.send(1000, START + 134.5) is not None
    assert link.send(1000, START + 134.6) is None


@pytest.mark.parametrize(
    ("begin", "end", "seconds"),
    [(0, 100, 100), (0, 150, 135), (0, 300, 270), (140, 160, 0), (100, 500, 340), (0, 600, 540)],
)
def test_the_capacity_leaves_outages_out(begin: float, end: float, seconds: float) -> None:
    link = Link(rate=8000, round_trip=0, outage=30, period=300)
    assert link.capacity(begin, end) == pytest.approx(1000 * seconds)
    down = sum(link.is_down(begin + (n + 0.5) / 10) for n in range(10 * int(end - begin)))
    assert 10 * (end - begin - seconds) == down


def test_the_capacity_without_outages_is_the_rate() -> None:
    assert Link(rate=128_000, round_trip=0.3).capacity(10, 20) == 160_000
