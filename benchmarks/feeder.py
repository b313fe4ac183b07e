"""A detector without a camera: the real outbox and sender, fed with numbered faces at a rate.

Run as a process of its own, so that `kill -9` is one. What the outbox has acknowledged is written
to a log that the outbox knows nothing of ("number seq" a line): that is what must reach the bucket.
SIGUSR1 pauses the feeding, and again resumes it; SIGTERM ends it as a detector ends.
"""

import argparse
import os
import random
import signal
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from facefleet.delivery.backlog import Rank
from facefleet.delivery.outbox import Outbox
from facefleet.delivery.sender import Sender
from facefleet.health import Health, serve_health
from facefleet.logging import configure_logging
from facefleet.protocol import FaceName
from facefleet.runtime import on_shutdown
from pydantic import AnyUrl

from benchmarks.passers import best_of_visits
from support.picture import HEAD, jpeg

SIZE = 6000  # bytes of a face, about
DEVICE, CAMERA = "edge-1", "front"


def face(number: int) -> bytes:
    """The numbered face: unique bytes between a JPEG's marks, the same at every call."""
    return jpeg(number.to_bytes(8) + random.Random(number).randbytes(SIZE))


def number_of(face: bytes) -> int:
    return int.from_bytes(face[len(HEAD) : len(HEAD) + 8])


class Log:
    """The acknowledged faces, by number and seq; written at once, so that it survives a kill."""

    def __init__(self, path: Path) -> None:
        self.entries = read_log(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @property
    def next_number(self) -> int:
        return self.entries[-1][0] + 1 if self.entries else 0

    @property
    def last_seq(self) -> int:
        return self.entries[-1][1] if self.entries else 0

    def add(self, entries: list[tuple[int, int]]) -> None:
        self.entries += entries
        os.write(self._file, "".join(f"{number} {seq}\n" for number, seq in entries).encode())


def read_log(path: Path) -> list[tuple[int, int]]:
    """(number, seq) of every acknowledged face, in order."""
    if not path.exists():
        return []
    return [tuple(map(int, line.split())) for line in path.read_text().splitlines()]


class LoggedOutbox(Outbox):
    """An Outbox whose acknowledgements are logged."""

    def __init__(self, path: Path, log: Log) -> None:
        super().__init__(path, DEVICE, CAMERA, 1 << 30)
        self._log = log
        # Killed between the commit and the log's line: committed faces count, logged or not. After
        # an older file was restored, the outbox is behind the log, and this adds nothing.
        seqs = range(log.last_seq + 1, self.counts.captured + 1)
        log.add([(number_of(self.read(seq)[1]), seq) for seq in seqs])

    def add(
        self, faces: Iterable[tuple[datetime, bytes]], ranks: Iterable[int]
    ) -> tuple[list[FaceName], list[int]]:
        faces = list(faces)
        names, evicted = super().add(faces, ranks)
        numbers = (number_of(face) for _, face in faces)
        self._log.add([(n, name.seq) for n, name in zip(numbers, names, strict=True)])
        return names, evicted


def main() -> None:
    parser = argparse.ArgumentParser(description="Feed numbered faces into an outbox.")
    parser.add_argument("--broker", type=AnyUrl, required=True)
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--outbox", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="faces a second")
    parser.add_argument("--shown", type=Path, help="file: choose the best of each visit")
    parser.add_argument("--http", required=True, help="host:port of health and metrics")
    parser.add_argument("--step-back-at", type=int, default=-1, help="number: an hour back from it")
    arguments = parser.parse_args()

    stop = threading.Event()
    toggles: list[int] = []  # a handler that takes a lock could meet itself holding it
    configure_logging("feeder", "info")
    on_shutdown(stop.set)
    signal.signal(signal.SIGUSR1, lambda number, _frame: toggles.append(number))
    health = Health("broker", "outbox", service="feeder")
    log = Log(arguments.log)
    outbox = LoggedOutbox(arguments.outbox, log)
    health.set("outbox", None)
    sender = Sender(outbox, arguments.broker, arguments.qos, 256, health)
    serve_health(arguments.http, health)
    sender.start()
    try:
        count, next_number = arguments.count, log.next_number
        pictures = (
            best_of_visits(arguments.shown, count, next_number == count)
            if arguments.shown
            else ([(number, Rank.FIRST)] for number in range(next_number, count))
        )
        due = time.monotonic()
        for chosen in pictures:
            while len(toggles) % 2 and not stop.is_set():
                time.sleep(0.05)
                due = time.monotonic()
            due += 1 / arguments.rate
            if stop.wait(max(0, due - time.monotonic())):
                break
            for number, rank in chosen:
                back = timedelta(hours=1 if 0 <= arguments.step_back_at <= number else 0)
                sender.put(datetime.now(UTC) - back, face(number), stop, rank)
        while not stop.wait(0.5):
            sender.check()
    finally:
        sender.stop()
    sender.check()


if __name__ == "__main__":
    main()
