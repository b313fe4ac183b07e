"""The epochs of an outbox, and what shows that another device uses one of them.

An outbox has one epoch, until it learns that its file was copied: two devices that go on numbering
their faces in one epoch could not be told apart by an audit. From then on, new faces have a new
epoch, and the numbers continue. Pure.
"""

import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

CLONE_SEEN = 3600.0  # seconds for which another device is reported after its last sign


@dataclass(frozen=True)
class Epochs:
    """The current epoch, and the former ones with the last seq of each, in their order."""

    current: str
    former: tuple[tuple[int, str], ...] = ()

    def of(self, seq: int) -> str:
        """Return the epoch in which a face was numbered."""
        place = bisect_left(self.former, (seq, ""))
        return self.former[place][1] if place < len(self.former) else self.current

    def __iter__(self) -> Iterator[str]:
        yield from (name for _, name in self.former)
        yield self.current

    def first(self, epoch: str) -> int:
        """Return the first seq of an epoch of this outbox."""
        first = 1
        for last, name in self.former:
            if name == epoch:
                return first
            first = last + 1
        return first


def new_epoch() -> str:
    return secrets.token_hex(4)


def is_foreign(
    epoch: str,
    faces: Iterable[tuple[int, str]],
    epochs: Epochs,
    captured: int,
    tag_of: Callable[[int], str | None],
) -> bool:
    """Return whether a receipt confirms a face that another outbox has numbered in `epoch`.

    `captured` is the last seq of this outbox. `tag_of` returns the tag of one of its faces, or None
    if the line of the face is gone.
    """
    if epoch not in epochs:
        return False
    return any(
        seq > captured or epochs.of(seq) != epoch or tag_of(seq) not in (None, tag)
        for seq, tag in faces
    )
