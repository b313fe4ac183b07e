"""Inspect a detector's outbox: its counts, evictions and dead letters."""

from pathlib import Path

from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.errors import FacefleetError
from facefleet.tools.tables import table


def print_outbox(path: Path) -> None:
    """Print the counts, the evicted ranges and the dead letters. Raises OutboxError."""
    reader = OutboxReader(path)
    counts = reader.counts()
    print(f"{reader.device}/{reader.camera}, epoch {reader.epoch}")
    print(table([tuple(vars(counts)), tuple(vars(counts).values())]))
    if evictions := reader.evictions():
        print(f"\n{table([('evicted from', 'to', 'reason', 'last at'), *evictions])}")
    if letters := reader.dead_letters():
        rows = [
            (str(letter.name.seq), str(letter.name), letter.size, letter.reason, letter.at)
            for letter in letters
        ]
        print(f"\n{table([('dead letter', 'face', 'bytes', 'reason', 'at'), *rows])}")


def retry(path: Path, seqs: list[int]) -> None:
    """Resend dead letters. Raises FacefleetError for an unknown one."""
    reader = OutboxReader(path)
    selected = _select(reader, seqs)
    print(f"{_count(reader.retry(selected))} will be resent")


def drop(path: Path, seqs: list[int]) -> None:
    """Delete dead letters. Raises FacefleetError for an unknown one."""
    reader = OutboxReader(path)
    selected = _select(reader, seqs)
    print(f"{_count(reader.drop(selected))} deleted")


def _count(seqs: list[int]) -> str:
    return f"{len(seqs)} dead letter{'' if len(seqs) == 1 else 's'}"


def _select(reader: OutboxReader, seqs: list[int]) -> list[int]:
    dead = [letter.name.seq for letter in reader.dead_letters()]
    if unknown := set(seqs).difference(dead):
        numbers = ", ".join(map(str, sorted(unknown)))
        raise FacefleetError(
            f"no dead letter has the number {numbers}: list them with `facefleet outbox list`"
        )
    return seqs or dead
