"""The sender's rules for when to send and resend each face, without I/O.

The clock is passed in: `now` is monotonic, in seconds. A face is represented by its number in the
outbox and its size in bytes.

- At most `size` faces are in the window, and as many of them are in flight as `pace` allows.
- Fresh faces are sent first, the newest before all others, so that current events show up at once.
  While there are more of them than the link carries, one place in BACKLOG_SHARE is for faces to be
  resent, then for the backlog (`backlog`), so that neither waits for ever.
- A face is treated as lost, and resent, once a face sent clearly later (by GAP or two round trips)
  has been confirmed. If nothing is confirmed at all, the connection has stalled: everything in
  flight is resent, a few faces at a time. A timer per face would resend everything whenever the far
  end is slow.
- A face that is never confirmed although others are waits outside of the window. It is resent less
  and less often, and finally given up (`doubts`). A suspect is sent with nothing else in flight.
- A refused face also waits outside of the window. It is given up after ATTEMPTS.
"""

import heapq
import random
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from facefleet.delivery.backlog import Backlog, Rank, Read
from facefleet.delivery.doubts import Misses, Suspects
from facefleet.delivery.pace import START, UNIT, Pace

GAP = 0.5  # seconds
BACKLOG_SHARE = 4
ATTEMPTS = 5
RETRY = 30.0  # seconds after the first refusal, doubling
STALL_PAUSE = 60.0  # seconds that faces wait after a second stall with a full window
UNCONFIRMED = "never confirmed, although faces that were sent later were"
BREAKS_CONNECTION = "the connection broke whenever it was sent: it may be too large for a broker"
HELLO_PAUSE = 1.0  # minimum seconds between reactions to hellos
HELLO_SPREAD = 1.0  # seconds over which senders spread their reactions to the same hello


@dataclass(slots=True)
class _Flight:
    size: int  # bytes, at least UNIT
    first: float  # time of the first transmission
    last: float  # time of the last transmission
    ahead: int  # bytes in flight at the last transmission, including its own
    order: int  # position of the last transmission among all
    resent: bool = False


class Window:
    """The state of one sender. `backlog` reads the unconfirmed faces."""

    def __init__(self, size: int, backlog: Read, dice: random.Random | None = None) -> None:
        self._size = size
        self._backlog = Backlog(backlog, size, self._known)
        self._dice = dice or random.Random()
        self._pace = Pace(size, self._dice)
        self._misses = Misses()
        self._suspects = Suspects()
        self._fresh: list[deque[tuple[int, int]]] = [deque() for _ in Rank]
        self._turn = 0
        self._flying: OrderedDict[int, _Flight] = OrderedDict()  # by time of the last transmission
        self._in_flight = 0  # bytes
        self._transmissions = 0
        self._confirmed = 0  # order of the latest transmission known to be confirmed
        self._stalled: set[int] = set()  # in flight at stalls since the last confirmation
        self._given_up: list[tuple[int, str]] = []  # to be reported
        self._again: OrderedDict[int, _Flight] = OrderedDict()  # to be resent
        self._refused: dict[int, int] = {}  # attempts so far
        self._waiting: list[tuple[float, int, int]] = []  # heap of (due time, number, size)
        self._held: set[int] = set()  # the numbers in _waiting
        self._progress = 0.0  # time of the latest progress
        self._hello = float("-inf")  # when the sender last reacted to a hello
        self._hello_due: float | None = None
        self.resent = 0

    # -- events --------------------------------------------------------------------------------

    def fresh(self, number: int, size: int, rank: int) -> int | None:
        """Add a face that is new in the outbox. Return one that is no longer fresh, if any."""
        self._fresh[rank].append((number, size))
        if sum(map(len, self._fresh)) <= self._size:
            return None
        worst = max(rank for rank in Rank if self._fresh[rank])
        late = self._fresh[worst].popleft()
        self._backlog.put_back(*late, worst)
        return late[0]

    def connected(self, now: float) -> None:
        """Start over on a new connection. Everything in flight may be lost."""
        in_flight = len(self._flying)
        start = START
        if self._suspects.breaks(now) and in_flight:
            start = max(1, min(START, in_flight) // 4)
            if in_flight == 1:
                self._accuse(now)
        self._resend_all()
        self._stalled.clear()
        self._misses.restart()
        self._pace.restart(start)
        self._progress = now

    def hello(self, now: float) -> None:
        """React to a service on the route that has lost what it held."""
        if self._hello_due is None:
            soon = max(now, self._hello + HELLO_PAUSE)
            self._hello_due = soon + self._dice.uniform(0, HELLO_SPREAD)

    def confirmed(self, numbers: Iterable[int], now: float) -> list[tuple[int, str]]:
        """Process receipts, possibly for faces that were sent before a restart.

        Return the faces to give up, each with the reason.
        """
        horizon = None
        for number in numbers:
            if (flight := self._land(number)) is None:
                continue
            self._refused.pop(number, None)
            self._suspects.forget(number)
            self._misses.answered(number)
            if not flight.resent:
                self._pace.measured(now - flight.first, flight.ahead)
                self._confirmed = max(self._confirmed, flight.order)
            self._pace.confirmed(flight.size)
            sent = self._sent_at(flight, now)
            horizon = sent if horizon is None else max(horizon, sent)
        if horizon is None:
            return []
        self._progress = now
        self._mark_gaps(horizon - max(GAP, 2 * self._pace.round_trip), now)
        for number in self._stalled:
            if number in self._again and self._again[number].order < self._confirmed:
                self._missed(number, now)
        self._stalled.clear()
        if (culprit := self._suspects.outlived()) is not None:
            self._given_up.append((culprit, BREAKS_CONNECTION))
        given_up, self._given_up = self._given_up, []
        self.forget(number for number, _ in given_up)
        return given_up

    def _sent_at(self, flight: _Flight, now: float) -> float:
        """Return the time of the transmission that was confirmed; if in doubt, of the first."""
        trip = self._pace.round_trip
        if flight.resent and trip and now - flight.last >= trip / 2:
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
        """Record that a face that was sent later was confirmed before this one."""
        flight = self._land(number)
        self._misses.missed(number)
        if self._misses.certain(number):
            self._held.add(number)
            self._given_up.append((number, UNCONFIRMED))
        elif wait := self._misses.wait(number):
            self._set_aside(number, flight.size, now + wait)
        else:
            self._again[number] = flight

    def refused(self, number: int, now: float) -> bool:
        """Record that the far end refused a face. Return True if the face is to be given up."""
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
        """Stop sending these faces, which were evicted or given up."""
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
        self._fresh = [deque(f for f in faces if f[0] not in gone) for faces in self._fresh]
        self._backlog.forget(gone)

    def reread(self) -> None:
        """Read the backlog again, after another process changed it (by retrying a dead letter)."""
        self._backlog.reread()

    # -- sending -------------------------------------------------------------------------------

    def due(self, now: float, limit: int) -> list[int]:
        """Return up to `limit` faces to send now. Each of them counts as in flight."""
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
        """Return when to call `due` again if no event happens before; None for never."""
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
        """Bytes in flight; each face counts as at least UNIT."""
        return self._in_flight

    def __len__(self) -> int:
        """Return the number of faces that were sent but not confirmed."""
        return len(self._flying) + len(self._again)

    def _next(self, now: float) -> int | None:
        due = bool(self._waiting) and self._waiting[0][0] <= now
        if due and self._waiting[0][1] in self._suspects:  # sent once nothing else is in flight
            return None if self._flying else self._launch(*self._take_waiting(), now)
        if not self._has_room():
            return None
        self._turn = (self._turn + 1) % BACKLOG_SHARE
        full = len(self) >= self._size
        if self._turn and not full and (face := self._newest()) is not None:
            return self._launch(*face, now)
        if due and not full:
            return self._launch(*self._take_waiting(), now)
        if self._again:
            return self._resend(now)
        if not full and (face := self._backlog.take() or self._newest()) is not None:
            return self._launch(*face, now)
        return None

    def _has_room(self) -> bool:
        if self._in_flight >= self._pace.limit:
            return False
        # Nothing else may be in flight with a suspect.
        return not (len(self._flying) == 1 and next(iter(self._flying)) in self._suspects)

    def _may_retry(self) -> bool:
        """Return whether the first waiting face may be sent when it is due."""
        if self._waiting[0][1] in self._suspects:
            return not self._flying
        return self._has_room() and len(self) < self._size

    def _newest(self) -> tuple[int, int] | None:
        """Take the newest of the best fresh faces."""
        return next((faces.pop() for faces in self._fresh if faces), None)

    def _known(self) -> set[int]:
        """Return the faces that are not in the backlog."""
        fresh = (number for faces in self._fresh for number, _ in faces)
        return {*fresh, *self._held, *self._flying, *self._again}

    def _launch(self, number: int, size: int, now: float) -> int:
        if not self._flying:
            self._progress = now
        size = max(UNIT, size)
        self._in_flight += size
        self._transmissions += 1
        resent = number in self._misses or number in self._suspects
        self.resent += resent
        self._flying[number] = _Flight(size, now, now, self._in_flight, self._transmissions, resent)
        return number

    def _resend(self, now: float) -> int:
        number, flight = self._again.popitem(last=False)
        if not self._flying:
            self._progress = now
        self._in_flight += flight.size
        self._transmissions += 1
        flight.last, flight.ahead, flight.order = now, self._in_flight, self._transmissions
        flight.resent = True
        self._flying[number] = flight
        self.resent += 1
        return number

    def _land(self, number: int) -> _Flight | None:
        """Remove a face from the window."""
        flight = self._flying.pop(number, None)
        if flight is None:
            return self._again.pop(number, None)
        self._in_flight -= flight.size
        return flight

    def _resend_all(self) -> None:
        self._again.update(self._flying)
        self._flying.clear()
        self._in_flight = 0

    # -- waiting faces and stalls --------------------------------------------------------------

    def _set_aside(self, number: int, size: int, due: float) -> None:
        heapq.heappush(self._waiting, (due, number, size))
        self._held.add(number)

    def _take_waiting(self) -> tuple[int, int]:
        _, number, size = heapq.heappop(self._waiting)
        self._held.discard(number)
        return number, size

    def _accuse(self, now: float) -> None:
        """Suspect the only face in flight, as the connection broke or stalled."""
        number, flight = next(iter(self._flying.items()))
        self._land(number)
        wait = self._suspects.accuse(number) * self._dice.uniform(1, 2)
        self._set_aside(number, flight.size, now + wait)

    def _stalls_at(self) -> float:
        head = next(iter(self._flying.values()))
        return self._progress + self._pace.stall_timeout(head.size, head.ahead)

    def _stall(self, now: float) -> None:
        if next(iter(self._flying)) in self._suspects:
            self._accuse(now)
        elif self._pace.stalls and len(self) >= self._size:
            # These faces may never be confirmed, and must not block all others.
            for number in list(self._flying):
                self._set_aside(number, self._land(number).size, now + STALL_PAUSE)
        self._stalled.update(self._flying)
        self._resend_all()
        self._pace.stalled()
        self._progress = now
