"""Many senders with a backlog that share one broker's queue, in simulated time."""

import random
from collections import deque

import pytest
from facefleet.delivery import window
from facefleet.delivery.pace import START, UNIT, Pace
from facefleet.delivery.window import Window

TICK = 0.015  # seconds, as a processor's receipts wait for company
QUEUE = 4000  # messages that the broker holds; what is beyond is dropped
RATE = 1500  # faces a second that are stored
SIZE = 256


class Sender:
    """A window, and the backlog that it is to deliver."""

    def __init__(self, faces: int, seed: int) -> None:
        self.faces = faces
        self.pending = set(range(1, faces + 1))
        self.window = Window(SIZE, self._backlog, random.Random(seed))
        self.receipts: list[int] = []

    def _backlog(self, rank: int, below: float, limit: int) -> list[tuple[int, int]]:
        newest = 0 if rank else min(below - 1, self.faces)
        found = (n for n in range(newest, 0, -1) if n in self.pending)
        return [(n, UNIT) for n, _ in zip(found, range(limit), strict=False)]


def drain(senders: list[Sender], seconds: float, hello_at: float = -1) -> float:
    """Let all of them send at once. Returns when the last face was confirmed, or `seconds`."""
    queue: deque[tuple[Sender, int]] = deque()
    for sender in senders:
        sender.window.connected(0)
    for tick in range(1, int(seconds / TICK)):
        now = tick * TICK
        if 0 <= hello_at - now < TICK:  # the broker forgets all that it has
            queue.clear()
            for sender in senders:
                sender.window.hello(now)
        for _ in range(min(len(queue), int(RATE * TICK))):
            sender, number = queue.popleft()
            sender.receipts.append(number)
        for sender in senders:
            if sender.receipts:
                sender.pending.difference_update(sender.receipts)
                sender.window.confirmed(sender.receipts, now)
                sender.receipts.clear()
            for number in sender.window.due(now, 64):
                if len(queue) < QUEUE:
                    queue.append((sender, number))
        if not any(sender.pending for sender in senders):
            return now
    return seconds


def crowd(senders: int, faces: int) -> list[Sender]:
    return [Sender(faces, seed) for seed in range(senders)]


@pytest.mark.parametrize(("senders", "faces"), [(1, 6000), (20, 500), (100, 100), (300, 60)])
def test_a_crowd_drains_nearly_as_fast_as_its_faces_can_be_stored(senders: int, faces: int) -> None:
    fleet = crowd(senders, faces)
    assert drain(fleet, 60) < 2 * senders * faces / RATE + 3
    assert sum(sender.window.resent for sender in fleet) <= 0.15 * senders * faces


def test_a_crowd_gets_over_a_broker_that_forgets() -> None:
    fleet = crowd(300, 60)
    assert drain(fleet, 90, hello_at=4) < 30
    assert sum(sender.window.resent for sender in fleet) <= 0.15 * 300 * 60 + QUEUE


def test_more_senders_than_the_queue_has_places_for_get_through() -> None:
    fleet = crowd(1000, 10)
    assert START * 1000 > QUEUE
    assert drain(fleet, 60) < 40


def test_without_a_limit_the_same_crowd_does_not_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the limit is for; and that this simulation would notice its loss."""

    class Unlimited(Pace):
        limit = property(lambda self: self._largest, lambda _self, _limit: None)

    monkeypatch.setattr(window, "Pace", Unlimited)
    fleet = crowd(300, 60)
    drain(fleet, 30)
    resent = sum(sender.window.resent for sender in fleet)
    assert resent > 0.5 * 300 * 60
