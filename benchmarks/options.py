"""Options that benchmarks have in common."""

import argparse
from collections.abc import Callable, Collection


def some_of(rows: Collection[str]) -> Callable[[str], list[str]]:
    """Return the type of an option that lists rows: names, separated by commas."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in rows]:
            raise argparse.ArgumentTypeError(f"no row {unknown[0]}: the rows are {', '.join(rows)}")
        return names

    return parse
