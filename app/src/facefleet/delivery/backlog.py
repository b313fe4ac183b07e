"""The faces that wait in the outbox, in the order in which to send them. Without I/O.

The first face of each visit goes before further ones of any visit, so that a link that cannot carry
all of them carries at least a face of each visit. Within a rank, the newest face goes first.
"""

import math
from collections import deque
from collections.abc import Callable, Container
from enum import IntEnum


class Rank(IntEnum):
    """What a face is worth: lower ranks are sent first and evicted last."""

    FIRST = 0  # the first face of a visit, or one that was captured without visits
    FURTHER = 1


Read = Callable[[int, float, int], list[tuple[int, int]]]
"""`read(rank, below, limit)` returns numbers and sizes of faces below a number, descending."""


class Backlog:
    """Reads the faces page by page. A face is represented by its number and its size in bytes.

    `known()` returns the faces that were read, or need not be read.
    """

    def __init__(self, read: Read, page: int, known: Callable[[], Container[int]]) -> None:
        self._ranks = [_Descent(read, rank, page, known) for rank in Rank]

    def take(self) -> tuple[int, int] | None:
        for rank in self._ranks:
            if (face := rank.take()) is not None:
                return face
        return None

    def put_back(self, number: int, size: int, rank: int) -> None:
        """Add a face that was known, and is newer than all others of its rank."""
        self._ranks[rank].put_back(number, size)

    def forget(self, gone: Container[int]) -> None:
        for rank in self._ranks:
            rank.forget(gone)

    def reread(self) -> None:
        for rank in self._ranks:
            rank.reread()


class _Descent:
    """The faces of one rank, from the newest to the oldest."""

    def __init__(
        self, read: Read, rank: int, page: int, known: Callable[[], Container[int]]
    ) -> None:
        self._read, self._rank, self._page, self._known = read, rank, page, known
        self.reread()

    def reread(self) -> None:
        self._below = math.inf  # faces from this number on have been read
        self._faces: deque[tuple[int, int]] = deque()

    def take(self) -> tuple[int, int] | None:
        while not self._faces and self._below:
            found = self._read(self._rank, self._below, self._page)
            self._below = found[-1][0] if len(found) == self._page else 0
            known = self._known()
            self._faces.extend(face for face in found if face[0] not in known)
        return self._faces.popleft() if self._faces else None

    def put_back(self, number: int, size: int) -> None:
        if number >= self._below:
            self._faces.appendleft((number, size))
            if len(self._faces) > 2 * self._page:
                self.reread()

    def forget(self, gone: Container[int]) -> None:
        self._faces = deque(face for face in self._faces if face[0] not in gone)
