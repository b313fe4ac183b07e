"""Which face is sent when, and when again: the sender's rules, without I/O.

The clock is passed in: `now` is monotonic, in seconds. A face is its number in the outbox.

- At most `size` faces are on their way; that is also the back-pressure.
- Fresh faces go first with one place in FRESH_SHARE, newest first, so that after an outage what
  happens now is seen now; the other places take the backlog, oldest first, so that it ages least
  (the oldest is what an outbox evicts). With no backlog all places are the fresh ones'.
- Sent again is what progress shows to be lost: a face is when one sent clearly later (GAP, or two
  round trips) was confirmed. Where nothing moves at all, the oldest few are probed after STALL,
  with the wait doubling. A timer a face would re-send everything whenever the far end is slow.
- What was refused waits on its own, outside of the window, and is given up after ATTEMPTS.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

GAP = 0.5  # seconds
STALL, STALL_MAX = 2.0, 10.0  # seconds; PROBES each 10 s are a trickle on any link
PROBES = 4  # faces
FRESH_SHARE = 4
ATTEMPTS = 5
RETRY = 30.0  # seconds after the first refusal, doubling
HELLO_PAUSE = 1.0  # seconds: of hellos that come closer, the last is heeded later


@dataclass(slots=True)
class _Flight:
    first: float  # when it was first sent
    last: float
    again: bool = False


class Window:
    """The state of one sender.

    `backlog(after, limit)` gives the numbers of unconfirmed faces beyond `after`, ascending.
    """

    def __init__(self, size: int, backlog: Callable[[int, int], list[int]]) -> None:
        self._size = size
        self._backlog = backlog
        self._cursor = 0  # unsent faces up to here are in none of the queues below
        self._old: deque[int] = deque()  # read ahead from the backlog
        self._more = True  # the backlog may hold faces beyond the cursor
        self._fresh: deque[int] = deque()
        self._turn = 0
        self._flying: OrderedDict[int, _Flight] = OrderedDict()  # by time of the last sending
        self._again: OrderedDict[int, _Flight] = OrderedDict()  # flying too, but to be sent again
        self._refused: dict[int, int] = {}  # attempts so far
        self._waiting: list[tuple[float, int]] = []  # refused ones, by when they are due
        self._held: set[int] = set()  # the same, by number
        self._round_trip: float | None = None
        self._stall = STALL
        self._progress = 0.0
        self._hello = float("-inf")  # when the last one was heeded
        self._hello_due: float | None = None
        self.resent = 0

    # -- what happens --------------------------------------------------------------------------

    def fresh(self, number: int) -> int | None:
        """A face was added to the outbox. Returns one that is no longer among the fresh, if any."""
        self._fresh.append(number)
        if len(self._fresh) <= self._size:
            return None
        late = self._fresh.popleft()
        if late <= self._cursor:  # the backlog was read beyond it: read it again from there
            self._cursor = min(late, *self._old) - 1 if self._old else late - 1
            self._old.clear()
        self._more = True
        return late

    def connected(self, now: float) -> None:
        """The way is new: whatever was on it may be lost."""
        self._all_again()
        self._progress = now
        self._stall = STALL

    def hello(self, now: float) -> None:
        """Somebody on the way says that it forgot what it had."""
        if self._hello_due is None:
            self._hello_due = max(now, self._hello + HELLO_PAUSE)

    def _all_again(self) -> None:
        self._again.update(self._flying)
        self._flying.clear()

    def confirmed(self, numbers: Iterable[int], now: float) -> None:
        """Receipts came, also for faces that another life of this sender sent."""
        horizon = None
        for number in numbers:
            flight = self._flying.pop(number, None) or self._again.pop(number, None)
            if flight is None:
                continue
            self._refused.pop(number, None)
            if not flight.again:
                trip = now - flight.first
                smooth = self._round_trip
                self._round_trip = trip if smooth is None else smooth + (trip - smooth) / 8
            sent = self._answered(flight, now)
            horizon = sent if horizon is None else max(horizon, sent)
        if horizon is not None:
            self._progress = now
            self._stall = max(STALL, 4 * (self._round_trip or 0))
            self._mark_gaps(horizon - max(GAP, 2 * (self._round_trip or 0)))

    def _answered(self, flight: _Flight, now: float) -> float:
        """When the sending that a receipt answers was; where in doubt, the first."""
        trip = self._round_trip
        if flight.again and trip is not None and now - flight.last >= trip / 2:
            return flight.last
        return flight.first

    def _mark_gaps(self, horizon: float) -> None:
        while self._flying:
            number, flight = next(iter(self._flying.items()))
            if flight.last >= horizon:
                return
            del self._flying[number]
            self._again[number] = flight

    def refused(self, number: int, now: float) -> bool:
        """The far end will not take a face. True where it is given up: put it aside."""
        if self._flying.pop(number, None) is None and self._again.pop(number, None) is None:
            return False
        self._progress = now
        attempts = self._refused.get(number, 0) + 1
        if attempts >= ATTEMPTS:
            self._refused.pop(number, None)
            return True
        self._refused[number] = attempts
        heapq.heappush(self._waiting, (now + RETRY * 2 ** (attempts - 1), number))
        self._held.add(number)
        return False

    def forget(self, numbers: Iterable[int]) -> None:
        """The outbox no longer has these (evicted)."""
        gone = set(numbers)
        for number in gone:
            self._flying.pop(number, None)
            self._again.pop(number, None)
            self._refused.pop(number, None)
        self._held -= gone
        self._waiting = [entry for entry in self._waiting if entry[1] not in gone]
        heapq.heapify(self._waiting)
        self._fresh = deque(n for n in self._fresh if n not in gone)
        self._old = deque(n for n in self._old if n not in gone)

    def reread(self) -> None:
        """The backlog has changed behind our back (a dead letter is to be tried again)."""
        self._cursor = 0
        self._old.clear()
        self._more = True

    # -- what to do ----------------------------------------------------------------------------

    def due(self, now: float, limit: int) -> list[int]:
        """The next faces to send, at most `limit`; each is on its way from now on."""
        if self._hello_due is not None and now >= self._hello_due:
            self._hello, self._hello_due = now, None
            self._all_again()
        self._probe(now)
        sends = []
        while len(sends) < limit and (number := self._next(now)) is not None:
            sends.append(number)
        return sends

    def _next(self, now: float) -> int | None:
        if self._again:
            number, flight = self._again.popitem(last=False)
            flight.last, flight.again = now, True
            self._flying[number] = flight
            self.resent += 1
            return number
        if len(self._flying) >= self._size:
            return None
        number = self._pick(now)
        if number is not None:
            if not self._flying:
                self._progress = now
            self._flying[number] = _Flight(now, now)
        return number

    def _pick(self, now: float) -> int | None:
        if self._waiting and self._waiting[0][0] <= now:
            number = heapq.heappop(self._waiting)[1]
            self._held.discard(number)
            return number
        self._turn = (self._turn + 1) % FRESH_SHARE
        old = self._oldest() if self._turn or not self._fresh else None
        if old is not None:
            return old
        return self._fresh.pop() if self._fresh else None

    def _oldest(self) -> int | None:
        while self._old or self._more:
            if not self._old:
                found = self._backlog(self._cursor, self._size)
                self._more = len(found) == self._size
                if found:
                    self._cursor = found[-1]
                known = {*self._fresh, *self._held}
                self._old.extend(
                    n
                    for n in found
                    if n not in known and n not in self._flying and n not in self._again
                )
                continue
            return self._old.popleft()
        return None

    def _probe(self, now: float) -> None:
        if self._flying and not self._again and now >= self._progress + self._stall:
            for _ in range(min(PROBES, len(self._flying))):
                number, flight = self._flying.popitem(last=False)
                self._again[number] = flight
            self._progress = now
            self._stall = min(2 * self._stall, STALL_MAX)

    def wake(self) -> float | None:
        """When `due` has something to say though nothing happens; None: when something does."""
        times = [self._waiting[0][0]] if self._waiting else []
        if self._flying:
            times.append(self._progress + self._stall)
        if self._hello_due is not None:
            times.append(self._hello_due)
        return min(times, default=None)

    def __len__(self) -> int:
        """Faces on their way."""
        return len(self._flying) + len(self._again)
