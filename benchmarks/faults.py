"""The fault matrix: break every part of a fleet, and count what reached the bucket.

`python -m benchmarks.faults` (`make faults`): real processes on loopback, Mosquitto without
persistence, the embedded broker for a part of the rows, and an S3 server of its own. The proof
trusts nothing that is tested: what the outbox acknowledged is logged beside it, and what the bucket
holds is compared by content. Exit code 1 where a face was lost or stored twice. `--plain` runs the
rows with the publish-and-hope shape instead, as a measurement.
"""

import argparse
import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from facefleet.delivery.outbox import RESERVE

from benchmarks.crowd import CROWDS, Crowd, drain
from benchmarks.feeder import face, read_log
from benchmarks.fleet import Facefleet, Fleet, Load, Plain
from benchmarks.options import some_of
from benchmarks.progress import Progress
from benchmarks.rows import ROWS, Row
from support.rig import Rig
from support.s3 import Control

FULL = Load(faces=5000, rate=400, outage=20, deadline=300, seed=1)
SHORT = Load(faces=240, rate=100, outage=3, deadline=90, seed=1)
EMBEDDED = {"faces": 1000, "rate": 100}
"""What the embedded broker is for: a few cameras."""
PLAIN = {"rate": 100}
"""What one PUT after the other keeps up with, so that its losses are the faults'."""
DISK = RESERVE + (32 << 20)  # bytes of the small file system


@dataclass(frozen=True)
class Result:
    """One row of the table. Lost: captured, not evicted, and not in the bucket."""

    row: str
    broker: str
    qos: int
    captured: int
    stored: int
    lost: int
    duplicates: int  # objects beyond one a face
    evicted: int
    extra_puts: int | None  # requests beyond one a face that was stored, 503s included
    resent: int | None  # sendings beyond the first
    drain: float | None  # seconds from the end of the fault and of the feeding until all was there
    problem: str = ""

    @property
    def holds(self) -> bool:
        return not (self.lost or self.duplicates or self.problem)


def run(
    row_name: str, shape: type[Fleet], broker: str, qos: int, load: Load, s3_server: str = "s3"
) -> Result:
    """Run one row from nothing to nothing."""
    row = ROWS[row_name]
    if row.spread:
        load = replace(load, rate=load.faces / load.random_for)
    with (
        tempfile.TemporaryDirectory(prefix="facefleet-faults-") as name,
        _disk(Path(name) / "disk", row.small_disk) as folder,
        Rig(Path(name)) as rig,
        shape(rig, load, broker, qos, s3_server) as fleet,
    ):
        fleet.start(row.replicas, load.faces // 2 if row.clock_back else -1, folder)
        with _watched(fleet, f"{row_name} {broker} QoS {qos}"):
            problem, drain = "", None
            try:
                drain = _damage(fleet, row)
            except (TimeoutError, RuntimeError) as error:
                problem = str(error)
            fleet.settle()
            fleet.sample()
        fleet.detector.stop()
        return _result(fleet, row, (row_name, broker, qos), drain, problem)


def run_crowd(name: str, crowd: Crowd, deadline: float) -> Result:
    """Run one row of many outboxes."""
    found = drain(crowd, deadline)
    return Result(
        name,
        "mosquitto",
        0,
        captured=crowd.all,
        stored=found.stored,
        lost=found.lost,
        duplicates=found.duplicates,
        evicted=0,
        extra_puts=found.extra_puts,
        resent=found.resent,
        drain=found.seconds,
        problem=found.problem,
    )


def _damage(fleet: Fleet, row: Row) -> float:
    """Backlog, fault, and recovery. Returns how long the recovery took, in seconds."""
    fleet.until_backlog()
    fleet.link.open()
    with row.fault(fleet):
        fleet.until(fleet.captured_all, "all faces are captured")
        begin = time.monotonic()
        fleet.until(fleet.drained, "all faces are confirmed")
        return time.monotonic() - begin


def _result(
    fleet: Fleet, row: Row, what: tuple[str, str, int], drain: float | None, problem: str
) -> Result:
    entries = read_log(fleet.log)
    expected = {hashlib.md5(face(n), usedforsecurity=False).hexdigest(): s for n, s in entries}
    objects = fleet.objects()
    missing = [seq for digest, seq in expected.items() if digest not in objects]
    evicted: set[int] = set()
    resent = None
    if isinstance(fleet, Facefleet):
        evicted = fleet.evicted()
        resent = fleet.resent
        problem = problem or fleet.audit(restored=row.restored)
        if fleet.load.visits and (visits := fleet.missed()):
            problem = problem or f"{len(visits)} visits have no face"
    if foreign := objects.keys() - expected.keys():
        problem = problem or f"{len(foreign)} objects are of no captured face"
    stored = len(expected) - len(missing)
    return Result(
        *what,
        captured=len(expected),
        stored=stored,
        lost=sum(seq not in evicted for seq in missing),
        duplicates=objects.total() - len(objects),
        evicted=len(evicted),
        extra_puts=fleet.puts() - stored if isinstance(fleet.s3, Control) else None,
        resent=resent,
        drain=None if drain is None else round(drain, 1),
        problem=problem,
    )


@contextlib.contextmanager
def _disk(folder: Path, small: bool) -> Iterator[Path]:
    """A folder; a small file system of its own where that is asked for and permitted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    mounted = small and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def _watched(fleet: Fleet, title: str) -> Iterator[None]:
    """Say on stderr how it goes."""
    begin, over, progress = time.monotonic(), threading.Event(), Progress()

    def watch() -> None:
        while not over.wait(0.5):
            fleet.sample()
            if progress.is_due:
                counts = f"{fleet.captured()} captured, {fleet.puts()} PUTs"
                progress.show(f"{title}: {time.monotonic() - begin:.0f} s, {counts}")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        progress.clear()


COLUMNS = {
    "row": 20,
    "broker": 10,
    "qos": 4,
    "captured": 9,
    "stored": 8,
    "lost": 6,
    "duplicates": 11,
    "evicted": 8,
    "extra_puts": 11,
    "resent": 7,
    "drain": 7,
}


def _line(cells: dict[str, object]) -> str:
    """The cells as a row of the table: words to the left, numbers to the right."""
    return "".join(
        f"{_cell(cells[name]):<{width}}"
        if width > 9 and name in ("row", "broker")
        else f"{_cell(cells[name]):>{width}}"
        for name, width in COLUMNS.items()
    )


def _cell(value: object) -> str:
    return "-" if value is None else str(value).replace("_", " ")


def _plan(arguments: argparse.Namespace) -> Iterator[tuple[str, type[Fleet], str, int, Load]]:
    """What to run, in order."""
    load = SHORT if arguments.short else FULL
    if arguments.plain:
        for qos in arguments.qos or [0, 1, 2]:
            for name in arguments.rows:
                if name in ROWS and ROWS[name].plain:
                    yield name, Plain, "mosquitto", qos, replace(load, **PLAIN)
        return
    for broker in ("mosquitto", "embedded"):
        if arguments.broker not in (broker, "both"):
            continue
        for qos in arguments.qos or [0, 1]:
            for name in arguments.rows:
                if name in CROWDS:
                    if (broker, qos) == ("mosquitto", 0):
                        yield name, Facefleet, broker, qos, load
                elif broker == "mosquitto":
                    yield name, Facefleet, broker, qos, load
                elif ROWS[name].embedded:
                    yield name, Facefleet, broker, qos, load if arguments.short else slow(load)


def slow(load: Load) -> Load:
    return replace(load, **EMBEDDED)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description="Break every part of a fleet, and count."
    )
    every = [*ROWS, *CROWDS]
    parser.add_argument("--rows", type=some_of(every), default=every, help=", ".join(every))
    parser.add_argument("--qos", type=_levels, help="0,1 (with --plain also 2)")
    parser.add_argument("--broker", choices=["mosquitto", "embedded", "both"], default="both")
    parser.add_argument("--short", action="store_true", help="few faces and short outages")
    parser.add_argument("--visits", action="store_true", help="capture the best of each visit")
    parser.add_argument("--plain", action="store_true", help="publish and hope, to compare")
    parser.add_argument("--seed", type=int, default=FULL.seed, help="of all that is random")
    parser.add_argument("--json", type=Path, default=Path("build/faults.json"), help="also there")
    arguments = parser.parse_args()

    print(f"seed {arguments.seed}", file=sys.stderr)
    print(_line({name: name for name in COLUMNS}))
    results = []
    for name, shape, broker, qos, load in _plan(arguments):
        if name in CROWDS:
            crowd = CROWDS[name].short() if arguments.short else CROWDS[name]
            result = run_crowd(name, crowd, load.deadline)
        else:
            load = replace(load, seed=arguments.seed, visits=arguments.visits)
            result = run(name, shape, broker, qos, load)
        results.append(result)
        print(_line(asdict(result)) + (f"  {result.problem}" if result.problem else ""), flush=True)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        report = {
            "shape": shape.name,
            "seed": arguments.seed,
            "rows": [{**asdict(result), "holds": result.holds} for result in results],
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    if not arguments.plain and not all(result.holds for result in results):
        raise SystemExit(1)


def _levels(text: str) -> list[int]:
    levels = text.split(",")
    if not set(levels) <= {"0", "1", "2"}:
        raise argparse.ArgumentTypeError(f"{text}: give QoS levels like 0,1")
    return [int(level) for level in levels]


if __name__ == "__main__":
    main()
