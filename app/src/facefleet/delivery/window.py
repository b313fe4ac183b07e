"""Which face is sent when, and when again: the sender's rules, without I/O.

The clock is passed in: `now` is monotonic, in seconds. A face is its number in the outbox, and has
a size in bytes.

- At most `size` faces are in the window, and as many of them in flight as `pace` allows.
- Fresh faces go first with one place in FRESH_SHARE, newest first, so that after an outage what
  happens now is seen now; the other places take what is to be resent, then the backlog, oldest
  first, so that it ages least (the oldest is what an outbox evicts). With no backlog all places are
  the fresh ones'.
- A face is resent when one sent clearly later (GAP, or two round trips) was confirmed. Where
  nothing is confirmed at all, that is a stall: everything in flight is resent, a few at a time. A
  timer a face would resend everything whenever the far end is slow.
- A face that is never answered while others are waits outside of the window, is tried ever more
  seldom, and is given up in the end (`doubts`). A suspect is tried with nothing else in flight.
- What was refused waits outside of the window, too, and is given up after ATTEMPTS.
"""

import heapq
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from facefleet.delivery.doubts import Misses, Suspects
from facefleet.delivery.pace import START, UNIT, Pace

GAP = 0.5  # seconds
FRESH_SHARE = 4
ATTEMPTS = 5
RETRY = 30.0  # seconds after the first refusal, doubling
LATER = 60.0  # seconds that a full window does without the faces of a second stall
UNANSWERED = "it was never answered, though faces that were sent later were"
BREAKS_THE_WAY = "the connection broke whenever it was sent: it may be too large for a broker"
HELLO_PAUSE = 1.0  # seconds: of hellos that come closer, the last is heeded later
HELLO_SPREAD = 1.0  # seconds over which the senders that hear the same hello heed it


@dataclass(slots=True)
class _Flight:
    size: int  # bytes, as they count
    first: float  # when it was first sent
    last: float
    ahead: int  # bytes in flight at the last sending, its own included
    order: int  # of all sendings
    again: bool = False


class Window:
    """The state of one sender.

    `backlog(after, limit)` gives number and size of unconfirmed faces beyond `after`, ascending.
    """

    def __init__(
        self,
        size: int,
        backlog: Callable[[int, int], list[tuple[int, int]]],
        dice: random.Random | None = None,
    ) -> None:
        self._size = size
        self._backlog = backlog
        self._dice = dice or random.Random()
        self._pace = Pace(size, self._dice)
        self._misses = Misses()
        self._suspects = Suspects()
        self._cursor = 0  # unsent faces up to here are in none of the queues below
        self._old: deque[tuple[int, int]] = deque()  # read ahead from the backlog
        self._more = True  # the backlog may hold faces beyond the cursor
        self._fresh: deque[tuple[int, int]] = deque()
        self._turn = 0
        self._flying: OrderedDict[int, _Flight] = OrderedDict()  # by time of the last sending
        self._in_flight = 0  # bytes
        self._sendings = 0
        self._answered = 0  # the latest sending that was answered, as far as is known
        self._stalled: set[int] = set()  # in flight at the stalls since then
        self._given_up: list[tuple[int, str]] = []  # to be told
        self._again: OrderedDict[int, _Flight] = OrderedDict()  # to be resent
        self._refused: dict[int, int] = {}  # attempts so far
        self._waiting: list[tuple[float, int, int]] = []  # when due, number, size
        self._held: set[int] = set()  # the same, by number
        self._progress = 0.0
        self._hello = float("-inf")  # when the last one was heeded
        self._hello_due: float | None = None
        self.resent = 0

    # -- what happens --------------------------------------------------------------------------

    def fresh(self, number: int, size: int) -> int | None:
        """A face was added to the outbox. Returns one that is no longer among the fresh, if any."""
        self._fresh.append((number, size))
        if len(self._fresh) <= self._size:
            return None
        late, _ = self._fresh.popleft()
        if late <= self._cursor:  # the backlog was read beyond it: read it again from there
            self._cursor = min(late, *(n for n, _ in self._old)) - 1 if self._old else late - 1
            self._old.clear()
        self._more = True
        return late

    def connected(self, now: float) -> None:
        """The way is new: whatever was on it may be lost."""
        in_flight = len(self._flying)
        start = START
        if self._suspects.breaks(now) and in_flight:
            start = max(1, min(START, in_flight) // 4)
            if in_flight == 1:
                self._accuse(now)
        self._all_again()
        self._stalled.clear()
        self._misses.restart()
        self._pace.restart(start)
        self._progress = now

    def hello(self, now: float) -> None:
        """Somebody on the way says that it forgot what it had."""
        if self._hello_due is None:
            soon = max(now, self._hello + HELLO_PAUSE)
            self._hello_due = soon + self._dice.uniform(0, HELLO_SPREAD)

    def confirmed(self, numbers: Iterable[int], now: float) -> list[tuple[int, str]]:
        """Receipts came, also for faces that another life of this sender sent.

        Returns faces to be given up, each with the reason.
        """
        horizon = None
        for number in numbers:
            if (flight := self._land(number)) is None:
                continue
            self._refused.pop(number, None)
            self._suspects.forget(number)
            self._misses.answered(number)
            if not flight.again:
                self._pace.measured(now - flight.first, flight.ahead)
                self._answered = max(self._answered, flight.order)
            self._pace.confirmed(flight.size)
            sent = self._sent(flight, now)
            horizon = sent if horizon is None else max(horizon, sent)
        if horizon is None:
            return []
        self._progress = now
        self._mark_gaps(horizon - max(GAP, 2 * self._pace.round_trip), now)
        for number in self._stalled:
            if number in self._again and self._again[number].order < self._answered:
                self._missed(number, now)
        self._stalled.clear()
        if (culprit := self._suspects.outlived()) is not None:
            self._given_up.append((culprit, BREAKS_THE_WAY))
        given_up, self._given_up = self._given_up, []
        self.forget(number for number, _ in given_up)
        return given_up

    def _sent(self, flight: _Flight, now: float) -> float:
        """When the sending that a receipt answers was; where in doubt, the first."""
        trip = self._pace.round_trip
        if flight.again and trip and now - flight.last >= trip / 2:
            return flight.last
        return flight.first

    def _mark_gaps(self, horizon: float, now: float) -> None:
        while self._flying:
            number, flight = next(iter(self._flying.items()))
            if flight.last >= horizon:
                break
            self._pace.lost(now)
            self._missed(number, now)

    def _missed(self, number: int, now: float) -> None:
        """A face that was sent later was answered before this one."""
        flight = self._land(number)
        self._misses.missed(number)
        if self._misses.certain(number):
            self._held.add(number)
            self._given_up.append((number, UNANSWERED))
        elif wait := self._misses.wait(number):
            self._set_aside(number, flight.size, now + wait)
        else:
            self._again[number] = flight

    def refused(self, number: int, now: float) -> bool:
        """The far end will not take a face. True where it is given up: put it aside."""
        flight = self._land(number)
        if flight is None:
            return False
        self._progress = now
        self._misses.forget(number)
        attempts = self._refused.get(number, 0) + 1
        if attempts >= ATTEMPTS:
            self._refused.pop(number, None)
            return True
        self._refused[number] = attempts
        self._set_aside(number, flight.size, now + RETRY * 2 ** (attempts - 1))
        return False

    def forget(self, numbers: Iterable[int]) -> None:
        """These need not be sent any more (evicted, or given up)."""
        gone = set(numbers)
        if not gone:
            return
        for number in gone:
            self._land(number)
            self._refused.pop(number, None)
            self._misses.forget(number)
            self._suspects.forget(number)
        self._held -= gone
        self._waiting = [entry for entry in self._waiting if entry[1] not in gone]
        heapq.heapify(self._waiting)
        self._fresh = deque(face for face in self._fresh if face[0] not in gone)
        self._old = deque(face for face in self._old if face[0] not in gone)

    def reread(self) -> None:
        """The backlog has changed behind our back (a dead letter is to be tried again)."""
        self._cursor = 0
        self._old.clear()
        self._more = True

    # -- what to do ----------------------------------------------------------------------------

    def due(self, now: float, limit: int) -> list[int]:
        """The next faces to send, at most `limit`; each is in flight from now on."""
        if self._hello_due is not None and now >= self._hello_due:
            self._hello, self._hello_due = now, None
            self.connected(now)
        if self._flying and now >= self._stalls_at():
            self._stall(now)
        sends = []
        while len(sends) < limit and (number := self._next(now)) is not None:
            sends.append(number)
        return sends

    def wake(self) -> float | None:
        """When `due` has something to say though nothing happens; None: when something does."""
        times = []
        if self._waiting and self._may_retry():
            times.append(self._waiting[0][0])
        if self._flying:
            times.append(self._stalls_at())
        if self._hello_due is not None:
            times.append(self._hello_due)
        return min(times, default=None)

    @property
    def in_flight(self) -> int:
        """Bytes, of which a face counts UNIT at least."""
        return self._in_flight

    def __len__(self) -> int:
        """Faces sent and not confirmed."""
        return len(self._flying) + len(self._again)

    def _next(self, now: float) -> int | None:
        due = bool(self._waiting) and self._waiting[0][0] <= now
        if due and self._waiting[0][1] in self._suspects:  # once all in flight is answered
            return None if self._flying else self._launch(*self._take_waiting(), now)
        if not self._has_room():
            return None
        self._turn = (self._turn + 1) % FRESH_SHARE
        full = len(self) >= self._size
        if not self._turn and not full and (face := self._pick()) is not None:
            return self._launch(*face, now)
        if due and not full:
            return self._launch(*self._take_waiting(), now)
        if self._again:
            return self._resend(now)
        if not full and (face := self._pick()) is not None:
            return self._launch(*face, now)
        return None

    def _has_room(self) -> bool:
        if self._in_flight >= self._pace.limit:
            return False
        # Nothing flies beside a suspect.
        return not (len(self._flying) == 1 and next(iter(self._flying)) in self._suspects)

    def _may_retry(self) -> bool:
        """Whether the next of the waiting may be sent, if it is due."""
        if self._waiting[0][1] in self._suspects:
            return not self._flying
        return self._has_room() and len(self) < self._size

    def _pick(self) -> tuple[int, int] | None:
        """A face that is not in the window yet."""
        old = self._oldest() if self._turn or not self._fresh else None
        if old is not None:
            return old
        return self._fresh.pop() if self._fresh else None

    def _oldest(self) -> tuple[int, int] | None:
        while self._old or self._more:
            if self._old:
                return self._old.popleft()
            found = self._backlog(self._cursor, self._size)
            self._more = len(found) == self._size
            if found:
                self._cursor = found[-1][0]
            known = {*(number for number, _ in self._fresh), *self._held}
            known.update(self._flying, self._again)
            self._old.extend(face for face in found if face[0] not in known)
        return None

    def _launch(self, number: int, size: int, now: float) -> int:
        if not self._flying:
            self._progress = now
        size = max(UNIT, size)
        self._in_flight += size
        self._sendings += 1
        tried = number in self._misses or number in self._suspects
        self.resent += tried
        self._flying[number] = _Flight(size, now, now, self._in_flight, self._sendings, tried)
        return number

    def _resend(self, now: float) -> int:
        number, flight = self._again.popitem(last=False)
        if not self._flying:
            self._progress = now
        self._in_flight += flight.size
        self._sendings += 1
        flight.last, flight.ahead, flight.order = now, self._in_flight, self._sendings
        flight.again = True
        self._flying[number] = flight
        self.resent += 1
        return number

    def _land(self, number: int) -> _Flight | None:
        """Take a face out of the window."""
        flight = self._flying.pop(number, None)
        if flight is None:
            return self._again.pop(number, None)
        self._in_flight -= flight.size
        return flight

    def _all_again(self) -> None:
        self._again.update(self._flying)
        self._flying.clear()
        self._in_flight = 0

    # -- what is tried later -------------------------------------------------------------------

    def _set_aside(self, number: int, size: int, due: float) -> None:
        heapq.heappush(self._waiting, (due, number, size))
        self._held.add(number)

    def _take_waiting(self) -> tuple[int, int]:
        _, number, size = heapq.heappop(self._waiting)
        self._held.discard(number)
        return number, size

    def _accuse(self, now: float) -> None:
        """The way broke, or stalled, with one face in flight."""
        number, flight = next(iter(self._flying.items()))
        self._land(number)
        wait = self._suspects.accuse(number) * self._dice.uniform(1, 2)
        self._set_aside(number, flight.size, now + wait)

    def _stalls_at(self) -> float:
        head = next(iter(self._flying.values()))
        return self._progress + self._pace.patience(head.size, head.ahead)

    def _stall(self, now: float) -> None:
        if next(iter(self._flying)) in self._suspects:
            self._accuse(now)
        elif self._pace.stalls and len(self) >= self._size:
            # Perhaps it is these that are never answered: they may not keep all others out.
            for number in list(self._flying):
                self._set_aside(number, self._land(number).size, now + LATER)
        self._stalled.update(self._flying)
        self._all_again()
        self._pace.stalled()
        self._progress = now
