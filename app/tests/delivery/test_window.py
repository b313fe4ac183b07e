"""The sender's rules in simulated time: loss, reordering, duplication, restarts, refusals."""

import heapq
import random
import statistics

import pytest
from facefleet.delivery.backlog import Rank
from facefleet.delivery.pace import FLOOR, STALL_AGAIN, START, UNIT
from facefleet.delivery.window import ATTEMPTS, HELLO_SPREAD, Window
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
        self.swallows: set[int] = set()  # never answered
        self.breaks: set[int] = set()  # the way breaks of these
        self.sizes: dict[int, int] = {}  # bytes, where they are not UNIT
        self.ranks: dict[int, int] = {}  # where they are not FIRST
        self.bandwidth = float("inf")  # bytes a second, of the way to the far end
        self.sends = 0
        self.connections = 0
        self._events: list[tuple[float, int, str, int]] = []
        self._clear = 0.0  # when the way has carried what is on it
        self.restart()

    def restart(self) -> None:
        self.window = Window(self.size, self._backlog, self.random)
        self.window.connected(self.now)

    def _backlog(self, rank: int, below: float, limit: int) -> list[tuple[int, int]]:
        numbers = sorted((n for n in self.pending if n < below), reverse=True)
        return [(n, self.bytes(n)) for n in numbers if self.rank(n) == rank][:limit]

    def bytes(self, number: int) -> int:
        return self.sizes.get(number, UNIT)

    def rank(self, number: int) -> int:
        return self.ranks.get(number, Rank.FIRST)

    def capture(self, count: int = 1) -> None:
        for _ in range(count):
            self.captured += 1
            number = self.captured
            self.pending[number] = None
            self.window.fresh(number, self.bytes(number), self.rank(number))

    def disconnect(self) -> None:
        self.up = False
        self._events.clear()

    def connect(self) -> None:
        self.up = True
        self.window.connected(self.now)

    def _post(self, kind: str, number: int) -> None:
        if kind == "face":
            self._clear = max(self._clear, self.now) + self.bytes(number) / self.bandwidth
        if self.random.random() >= self.loss:
            at = self.now + self.random.uniform(*self.delay)
            if kind == "face":
                at = max(at, self._clear)
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
            if number in self.breaks:
                self.disconnect()
                heapq.heappush(self._events, (self.now + 1, 0, "connection", 0))
                return
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
        if kind == "connection":
            self.connections += 1
            self.connect()
        elif kind == "face":
            if number in self.swallows:
                return
            if number in self.refuses:
                self._post("refusal", number)
            else:
                if number not in self.stored:
                    self.stored.append(number)
                self._post("receipt", number)
        elif kind == "receipt":
            self.pending.pop(number, None)
            for given_up, _ in self.window.confirmed([number], self.now):
                self.pending.pop(given_up)
                self.dead.append(given_up)
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
    world.advance(3 * STALL_AGAIN + 30 * 2**ATTEMPTS)
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
    assert world.sends <= START + 2 * FLOOR + 600 / STALL_AGAIN


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


def test_the_last_faces_are_not_long_in_coming_where_a_fifth_is_lost() -> None:
    took = []
    for seed in range(20):
        world = World(size=256, seed=seed)
        world.loss = 0.2
        world.capture(60)
        while world.pending:
            world.advance(1)
        took.append(world.now)
    assert statistics.mean(took) < 30


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
    world.ranks = dict.fromkeys(range(101, 2000), Rank.FURTHER)
    world.disconnect()
    world.capture(100)
    world.restart()
    world.connect()
    for _ in range(120):
        world.capture(8)  # more than the way carries
        world.advance(0.01)
    assert not set(range(1, 101)) & set(world.pending)
    assert len(world.pending) > 8 * 120 / 4
    assert sum(number > 100 for number in world.stored) > 2 * 100


def order_of_sending(world: World) -> list[int]:
    """Send and confirm a face at a time."""
    order = []
    while due := world.window.due(world.now, 1):
        order += due
        del world.pending[due[0]]
        world.window.confirmed(due, world.now)
    return order


def test_the_backlog_goes_by_rank_from_the_newest_on() -> None:
    world = World(size=8)
    world.ranks = dict.fromkeys([*range(2, 31, 3), *range(3, 31, 3)], Rank.FURTHER)
    world.capture(30)
    world.restart()
    further = [number for number in range(30, 0, -1) if number % 3 != 1]
    assert order_of_sending(world) == [*range(28, 0, -3), *further]


@pytest.mark.parametrize("late", [1, 8, 20])  # of which more than 8 are forgotten, and read again
def test_faces_that_are_no_longer_fresh_are_the_first_of_the_backlog(late: int) -> None:
    world = World(size=4)
    world.capture(20)
    world.restart()
    assert world.window.due(world.now, 1) == [20]  # a page of the backlog has been read
    world.capture(late + 4)
    order = order_of_sending(world)
    assert [number for number in order if number > 20 + late] == [*range(24 + late, 20 + late, -1)]
    assert [number for number in order if number <= 20 + late] == [
        *range(20 + late, 20, -1),
        *range(19, 0, -1),
    ]


def test_a_link_that_cannot_carry_all_carries_a_face_of_each_visit() -> None:
    world = World(size=64)
    visits = 300
    world.ranks = {n: Rank.FURTHER for n in range(1, 3 * visits + 1) if n % 3 != 1}
    world.bandwidth = 1.2 * UNIT  # bytes a second
    most = 100
    for _ in range(visits):  # one a second
        world.capture(3)
        world.advance(1)
        worst = sorted(world.pending, key=lambda n: (-world.rank(n), n))[: -most or None]
        for number in worst:
            del world.pending[number]
        world.window.forget(worst)
    world.advance(200)
    assert not world.pending
    assert {n for n in world.stored if n % 3 == 1} == set(range(1, 3 * visits, 3))
    assert len(world.stored) < 2 * visits


def test_a_refused_face_leaves_its_place_to_others_and_is_given_up() -> None:
    world = World(size=2)
    world.refuses = {1, 2}
    world.capture(50)
    world.advance(5)
    assert set(world.stored) == set(range(3, 51))
    world.advance(30 * 2**ATTEMPTS)
    assert sorted(world.dead) == [1, 2]
    assert world.sends == 48 + 2 * ATTEMPTS


def test_hellos_in_a_row_resend_what_is_in_flight_soon_and_after_the_last() -> None:
    world = World(size=START)
    world.delay = (5.0, 5.0)
    world.capture(100)
    world.advance(0.001)
    for _ in range(3):
        world.window.hello(world.now)
        world.advance(0.001)
    assert world.sends == START
    world.advance(HELLO_SPREAD)
    assert world.sends == 2 * START
    world.window.hello(world.now)
    world.advance(1 + HELLO_SPREAD)
    assert world.sends == 3 * START


def test_a_fleet_does_not_heed_a_hello_at_once() -> None:
    windows = [
        Window(SIZE, lambda rank, *_: [(1, UNIT)][rank:], random.Random(n)) for n in range(100)
    ]
    for window in windows:
        window.connected(0)
        assert window.due(0, 64) == [1]
        window.hello(0)
    heeded = [sum(bool(w.due(now / 10, 64)) for w in windows) for now in range(12)]
    assert sum(heeded) == 100
    assert max(heeded) < 30


def test_a_large_face_on_a_thin_link_is_sent_once() -> None:
    world = World(size=256)
    world.bandwidth = 10_000  # bytes a second
    world.sizes = dict.fromkeys(range(1, 4), 500000)
    world.capture(40)
    world.advance(300)
    assert not world.pending
    assert world.sends == 40


def test_a_thin_link_is_not_filled_for_minutes() -> None:
    world = World(size=256)
    world.bandwidth = 20_000
    world.sizes = dict.fromkeys(range(1, 1000), 100000)
    world.capture(100)
    world.advance(60)
    assert world.window.in_flight <= 30 * world.bandwidth


@pytest.mark.parametrize("swallowed", [{1}, {3, 4, 5}, set(range(1, 41))])
def test_faces_that_are_never_answered_are_given_up_and_hold_no_place(swallowed: set[int]) -> None:
    world = World(size=16)
    world.swallows = swallowed
    for _ in range(100):
        world.capture(2)
        world.advance(0.5)
    world.advance(10)
    if len(swallowed) < world.size:  # else nothing moves at first
        assert set(range(1, 201)) - set(world.stored) == swallowed
    for _ in range(300):
        world.capture()
        world.advance(5)
    assert set(world.dead) == swallowed
    assert len(world.pending) < world.size
    assert world.sends < 500 + 20 * len(swallowed)


def test_an_outage_is_held_against_no_face() -> None:
    world = World(size=16)
    world.capture(3)
    for _ in range(100):
        world.loss = 1.0
        world.capture()
        world.advance(60)
        world.loss = 0.0
        world.window.hello(world.now)
        world.advance(3)
    assert not world.dead
    assert len(world.stored) == 103


@pytest.mark.parametrize("loss", [0.2, 0.5, 0.9])
def test_a_bad_link_makes_no_dead_letters(loss: float) -> None:
    world = World(size=64)
    world.loss = loss  # each way
    for _ in range(200):
        world.capture(5)
        world.advance(5)
    assert not world.dead


@pytest.mark.parametrize("culprits", [{20}, {1}, {5, 6}])
def test_a_face_that_breaks_the_way_is_found_and_given_up(culprits: set[int]) -> None:
    world = World(size=256)
    world.breaks = culprits
    world.capture(100)
    world.advance(60 * len(culprits))
    assert set(range(1, 101)) - set(world.stored) == culprits
    for _ in range(200):
        world.capture()
        world.advance(5)
    assert set(world.dead) == culprits
    assert not world.pending
    assert world.connections < 25 * len(culprits)


def test_breaks_alone_make_no_dead_letters() -> None:
    world = World(size=16)
    for _ in range(300):
        world.capture()
        world.advance(0.001)  # in flight
        world.disconnect()
        world.connect()
        world.advance(world.random.uniform(0.5, 5))
    world.advance(400)
    assert not world.dead
    assert not world.pending


THIN = 16_000  # bytes a second: 128 kbit/s
AWAY = (0.3, 0.32)  # seconds, each way


class Link:
    """What is on a link that several senders share."""

    clear = 0.0  # when the link has carried all of it


class Camera(World):
    """One of several senders on a link."""

    def __init__(self, link: Link, bandwidth: float, backlog: int, seed: int) -> None:
        self.link = link
        super().__init__(256, seed)
        self.bandwidth, self.delay = bandwidth, AWAY
        self.capture(backlog)
        self.restart()

    def _post(self, kind: str, number: int) -> None:
        self._clear = self.link.clear
        super()._post(kind, number)
        self.link.clear = self._clear


def drain(cameras: int, seconds: int, bandwidth: float = THIN) -> tuple[float, float, float]:
    """Capture a face every 20 s while a long backlog drains.

    Return the median delay of these faces, the share of the line rate that stored new faces, and
    how often a face was sent.
    """
    link = Link()
    fleet = [Camera(link, bandwidth, int(seconds * bandwidth / UNIT), n) for n in range(cameras)]
    born: dict[tuple[int, int], float] = {}
    delays = []
    for step in range(10 * seconds):
        for each, camera in enumerate(fleet):
            if step % 200 == 0:
                camera.capture()
                born[each, camera.captured] = camera.now
            camera.advance(0.1)
        for each, number in [face for face in born if face[1] not in fleet[face[0]].pending]:
            delays.append(fleet[each].now - born.pop((each, number)))
    stored = sum(len(camera.stored) for camera in fleet)
    sends = sum(camera.sends for camera in fleet)
    return statistics.median(delays), stored * UNIT / bandwidth / seconds, sends / stored


def test_a_fresh_face_arrives_soon_while_a_backlog_drains() -> None:
    delay, goodput, sent = drain(cameras=1, seconds=1200)
    assert delay < 4
    assert goodput > 0.95
    assert sent < 1.02


@pytest.mark.parametrize(("cameras", "longest"), [(2, 8), (4, 16)])
def test_cameras_that_share_a_link_do_not_fill_it_for_minutes(cameras: int, longest: float) -> None:
    delay, goodput, sent = drain(cameras, seconds=900)
    assert delay < longest
    assert goodput > 0.9
    assert sent < 1.1


def test_a_satellite_link_is_kept_busy() -> None:
    delay, goodput, sent = drain(cameras=1, seconds=300, bandwidth=4 * THIN)
    assert delay < 4
    assert goodput > 0.9
    assert sent < 1.02
