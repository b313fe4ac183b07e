"""How many faces were confirmed within the last hour."""

from facefleet.delivery.last_hour import LastHour


def test_what_is_older_than_an_hour_no_longer_counts() -> None:
    recent = LastHour()
    assert recent.count(0.0) == 0
    recent.add(5, 30.0)
    recent.add(2, 90.0)
    assert recent.count(90.0) == 7
    assert recent.count(3630.0) == 2
    assert recent.count(3690.0) == 0


def test_memory_does_not_grow_with_the_counts() -> None:
    recent = LastHour()
    for second in range(20_000):
        recent.add(3, float(second))
    assert len(recent._counts) <= 60
    assert 59 * 180 <= recent.count(19_999.0) <= 60 * 180
