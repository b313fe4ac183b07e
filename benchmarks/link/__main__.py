"""`python -m benchmarks.link [--rows A,B] [--way WAY]... [--short] [--json FILE]`, as root.

Progress on stderr, tables on stdout, everything measured as JSON.
"""

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path

from benchmarks.bench import print_table
from benchmarks.link.edge import WAYS
from benchmarks.link.results import HEADER, cells
from benchmarks.link.rows import ROWS, measure
from benchmarks.options import some_of
from support.rig import ROOT


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.link", description="Measure ways to send faces on bad links."
    )
    parser.add_argument("--rows", type=some_of(ROWS), default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument("--way", choices=WAYS, action="append", help="only this one; repeatable")
    parser.add_argument("--short", action="store_true", help="a first look, in six minutes")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "link.json")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("run it as root, who alone may create network namespaces and TUN devices")
    found = {}
    for name in arguments.rows:
        row = ROWS[name].short() if arguments.short else ROWS[name]
        results = measure(name, row, arguments.way or list(WAYS))
        found[name] = [asdict(result) for result in results]
        print(f"\n{row.title} ({row.drain:.0f} s measured)")
        print_table([HEADER, *map(cells, results)])
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\nAll figures: {arguments.json}")


if __name__ == "__main__":
    main()
