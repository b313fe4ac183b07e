"""The sender's rules in simulated time: loss, reordering, duplication, restarts, refusals."""

import heapq
import random

import pytest
from facefleet.delivery.window import ATTEMPTS, FRESH_SHARE, PROBES, STALL_MAX, Window
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE = 8


class World:
    """A sender, a lossy way, and a far end that stores what arrives, in simulated seconds."""

    def __init__(self, size: int = SIZE, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.size = size
        self.pending: dict[int, None] = {}  # the outbox
        self.captured = 0
        self.stored: list[int] = []  # in the order of their arrival
        self.dead: list[int] = []
        self.up = True
        self.loss = 0.0
        self.delay = (0.01, 0.01)
        self.refuses: set[int] = set()
        self.sends = 0
        self._events: list[tuple[float, int, str, int]] = []
        self.restart()

    def restart(self) -> None:
        self.window = Window(self.size, self._backlog)
        self.window.connected(self.now)

    def _backlog(self, after: int, limit: int) -> list[int]:
        return [n for n in sorted(self.pending) if n > after][:limit]

    def capture(self, count: int = 1) -> None:
        for _ in range(count):
            self.captured += 1
            self.pending[self.captured] = None
            self.window.fresh(self.captured)

    def disconnect(self) -> None:
        self.up = False
        self._events.clear()

    def connect(self) -> None:
        self.up = True
        self.window.connected(self.now)

    def _post(self, kind: str, number: int) -> None:
        if self.random.random() >= self.loss:
            at = self.now + self.random.uniform(*self.delay)
            heapq.heappush(self._events, (at, self.random.randrange(1 << 30), kind, number))

    def _send(self) -> None:
        if not self.up:
            return
        due = self.window.due(self.now, 64)
        assert len(self.window) <= self.size
        assert len(set(due)) == len(due)
        for number in due:
            if number not in self.pending:
                self.window.forget([number])
                continue
            self.sends += 1
            self._post("face", number)

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            self._send()
            wake = self.window.wake() if self.up else None
            times = [end]
            if self._events:
                times.append(self._events[0][0])
            if wake is not None:
                times.append(max(wake, self.now + 1e-3))
            self.now = min(times)
            while self._events and self._events[0][0] <= self.now:
                _, _, kind, number = heapq.heappop(self._events)
                self._arrive(kind, number)
            if self.now >= end:
                return

    def _arrive(self, kind: str, number: int) -> None:
        if kind == "face":
            if number in self.refuses:
                self._post("refusal", number)
            else:
                if number not in self.stored:
                    self.stored.append(number)
                self._post("receipt", number)
        elif kind == "receipt":
            self.pending.pop(number, None)
            self.window.confirmed([number], self.now)
        elif number in self.pending and self.window.refused(number, self.now):
            self.pending.pop(number)
            self.dead.append(number)


ACTIONS = st.one_of(
    st.tuples(st.just("capture"), st.integers(1, 40)),
    st.tuples(st.just("advance"), st.floats(0.001, 20)),
    st.tuples(st.just("loss"), st.sampled_from([0.0, 0.2, 0.9])),
    st.tuples(st.just("delay"), st.sampled_from([(0.0, 0.0), (0.01, 0.5), (3.0, 6.0)])),
    st.tuples(st.sampled_from(["disconnect", "connect", "restart", "hello"]), st.none()),
    st.tuples(st.just("refuse"), st.integers(1, 100)),
    st.tuples(st.just("evict"), st.integers(1, 10)),
)


def act(world: World, action: str, value: object) -> None:
    match action:
        case "loss" | "delay":
            setattr(world, action, value)
        case "hello":
            world.window.hello(world.now)
        case "refuse":
            world.refuses.add(value)
        case "evict":
            gone = sorted(world.pending)[:value]
            for number in gone:
                del world.pending[number]
            world.window.forget(gone)
        case "capture" | "advance":
            getattr(world, action)(value)
        case _:
            getattr(world, action)()


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTIONS, max_size=30), st.integers(0, 1000))
def test_every_face_is_settled_whatever_happened(actions: list, seed: int) -> None:
    world = World(seed=seed)
    for action, value in actions:
        act(world, action, value)
    world.loss, world.delay = 0.0, (0.01, 0.01)
    world.connect()
    world.advance(3 * STALL_MAX + 30 * 2**ATTEMPTS)
    assert not world.pending
    assert set(world.dead) <= world.refuses


def test_a_slow_far_end_is_not_sent_the_same_again_and_again() -> None:
    world = World(size=256)
    world.delay = (4.0, 6.0)  # seconds a PUT, all at once
    world.capture(2000)
    world.advance(600)
    assert not world.pending
    assert world.sends <= 2000 * 1.1


def test_an_outage_costs_a_probe_now_and_then() -> None:
    world = World(size=256)
    world.loss = 1.0
    world.capture(1000)
    world.advance(600)
    assert world.sends <= 256 + PROBES * (600 / STALL_MAX + 6)


def test_a_fifth_lost_is_repaired_within_a_few_round_trips() -> None:
    world = World(size=256)
    world.loss, world.delay = 0.2, (0.02, 0.04)
    for _ in range(100):
        world.capture(40)
        world.advance(0.1)
    world.advance(5)
    assert len(world.pending) < 40
    world.advance(120)
    assert not world.pending
    assert world.sends < 4000 / 0.8**2 * 1.25


@pytest.mark.parametrize("captures", [100, 2000])
def test_what_happens_now_is_not_starved_by_the_backlog(captures: int) -> None:
    world = World(size=64)
    world.disconnect()
    world.capture(captures)
    world.connect()
    world.capture()
    newest = world.captured
    world.advance(0.1)
    assert newest in world.stored[: 2 * 64]


def test_the_backlog_is_not_starved_by_what_happens_now() -> None:
    world = World(size=8)
    world.disconnect()
    world.capture(100)
    world.connect()
    for _ in range(60):
        world.capture(8)  # as much as the way carries
        world.advance(0.01)
    assert not set(range(1, 101)) & set(world.pending)
    assert FRESH_SHARE > 1


def test_a_refused_face_leaves_its_place_to_others_and_is_given_up() -> None:
    world = World(size=2)
    world.refuses = {1, 2}
    world.capture(50)
    world.advance(5)
    assert set(world.stored) == set(range(3, 51))
    world.advance(30 * 2**ATTEMPTS)
    assert sorted(world.dead) == [1, 2]
    assert world.sends == 48 + 2 * ATTEMPTS


def test_hellos_in_a_row_send_the_window_again_at_once_and_after_the_last() -> None:
    world = World(size=32)
    world.delay = (5.0, 5.0)
    world.capture(100)
    world.advance(0.001)
    for _ in range(3):
        world.window.hello(world.now)
        world.advance(0.001)
    assert world.sends == 2 * 32
    world.advance(1.5)
    assert world.sends == 3 * 32
