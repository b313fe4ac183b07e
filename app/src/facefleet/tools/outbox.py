"""Look into a detector's outbox: what waits, what was evicted, and the dead letters."""

from pathlib import Path

from facefleet.delivery.ledger import Ledger
from facefleet.errors import FacefleetError
from facefleet.tools.tables import table


def print_outbox(path: Path) -> None:
    """The counts, the evicted ranges and the dead letters. Raises OutboxError."""
    ledger = Ledger(path)
    counts = ledger.counts()
    print(f"{ledger.device}/{ledger.camera}, epoch {ledger.epoch}")
    print(table([tuple(vars(counts)), tuple(vars(counts).values())]))
    if evictions := ledger.evictions():
        print(f"\n{table([('evicted from', 'to', 'because', 'last at'), *evictions])}")
    if letters := ledger.dead_letters():
        rows = [(str(x.name.seq), str(x.name), x.size, x.reason, x.at) for x in letters]
        print(f"\n{table([('dead letter', 'face', 'bytes', 'because', 'at'), *rows])}")


def retry(path: Path, seqs: list[int]) -> None:
    """Send dead letters again. Raises FacefleetError for an unknown one."""
    ledger = Ledger(path)
    wanted = _wanted(ledger, seqs)
    print(f"{_letters(ledger.retry(wanted))} will be sent again")


def drop(path: Path, seqs: list[int]) -> None:
    """Delete dead letters. Raises FacefleetError for an unknown one."""
    ledger = Ledger(path)
    wanted = _wanted(ledger, seqs)
    print(f"{_letters(ledger.drop(wanted))} deleted")


def _letters(seqs: list[int]) -> str:
    return f"{len(seqs)} dead letter{'' if len(seqs) == 1 else 's'}"


def _wanted(ledger: Ledger, seqs: list[int]) -> list[int]:
    dead = [letter.name.seq for letter in ledger.dead_letters()]
    if unknown := set(seqs).difference(dead):
        numbers = ", ".join(map(str, sorted(unknown)))
        raise FacefleetError(
            f"no dead letter has the number {numbers}: see `facefleet outbox list`"
        )
    return seqs or dead
