"""`python -m benchmarks.bench delivery|detector|all [--short] [--json FILE]`.

Progress on stderr, tables on stdout, everything measured as JSON. Shapes are run in turn, and
again; a ratio is taken within each repetition, and its median is shown: "3.0 (2.8..3.1)" is a
median with the least and the most.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks import bench_delivery, bench_detector
from benchmarks.bench_delivery import BRIDGE, INSTANT, PLAIN, SHAPES, SLOW, STAGES, Run
from benchmarks.bench_detector import Case
from benchmarks.bench_floor import floor
from support.rig import ROOT

FULL = {"faces": 20_000, "frames": 150, "repetitions": 5}
SHORT = {"faces": 4_000, "frames": 60, "repetitions": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description="measure ours beside what it is compared with")
    parser.add_argument("what", choices=("delivery", "detector", "all"))
    parser.add_argument("--short", action="store_true", help="a first look, in two minutes")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    arguments = parser.parse_args()
    size = SHORT if arguments.short else FULL
    found = {}
    if arguments.what != "detector":
        found["delivery"] = _delivery(size)
    if arguments.what != "delivery":
        found["detector"] = _detector(size)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nAll figures: {arguments.json}")


def _delivery(size: dict[str, int]) -> dict:
    signed, ceiling = floor(size["faces"])
    found = {"signed_put_cpu_per_1000": signed, "sink_puts_per_second": ceiling}
    for put_seconds in (INSTANT, SLOW):
        runs = bench_delivery.measure(size["faces"], put_seconds, size["repetitions"])
        _print_delivery(runs, put_seconds)
        found[f"{1000 * put_seconds:.0f} ms a PUT"] = [[asdict(run) for run in row] for row in runs]
    print(
        f"\nFloor: a PUT signed by hand on a raw socket costs {signed:.3f} CPU s per 1,000. "
        f"The sink takes {ceiling:.0f} PUTs a second."
    )
    return found


def _print_delivery(repetitions: list[list[Run]], put_seconds: float) -> None:
    shapes = {shape.name: [row[n] for row in repetitions] for n, shape in enumerate(SHAPES)}
    print(f"\n{1000 * put_seconds:.0f} ms a PUT, {len(repetitions)} repetitions")
    rows = [["", "faces/s", "to plain", "to the bridge", "CPU s per 1,000", "to plain", *STAGES]]
    for name, runs in shapes.items():
        rows.append(
            [
                name,
                _spread((run.rate for run in runs), 0),
                _spread((a.rate / b.rate for a, b in zip(runs, shapes[PLAIN], strict=True)), 2),
                _spread((a.rate / b.rate for a, b in zip(runs, shapes[BRIDGE], strict=True)), 2),
                _spread((run.total for run in runs), 3),
                _spread((a.total / b.total for a, b in zip(runs, shapes[PLAIN], strict=True)), 3),
                *(
                    f"{median(run.cpu[stage] for run in runs):.3f}" if stage in runs[0].cpu else "-"
                    for stage in STAGES
                ),
            ]
        )
    print_table(rows)


def _detector(size: dict[str, int]) -> list[dict]:
    cases = bench_detector.measure(size["frames"], size["repetitions"])
    print(f"\nThe detector, {size['repetitions']} repetitions of {size['frames']} frames")
    rows = [["", "bare frames/s", "ours frames/s", "ours to bare", "recall", "precision"]]
    rows += [_detector_row(case) for case in cases]
    print_table(rows)
    return [asdict(case) for case in cases]


def _detector_row(case: Case) -> list[str]:
    ratios = (a.rate / b.rate for a, b in zip(case.ours, case.bare, strict=True))
    return [
        f"{case.detector} {case.size[0]}x{case.size[1]}",
        _spread((run.rate for run in case.bare), 1),
        _spread((run.rate for run in case.ours), 1),
        _spread(ratios, 3),
        f"{case.recall:.3f}",
        f"{case.precision:.3f}",
    ]


def _spread(values: Iterable[float], digits: int) -> str:
    values = list(values)
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join((first.ljust(widths[0]), *cells)))


if __name__ == "__main__":
    main()
