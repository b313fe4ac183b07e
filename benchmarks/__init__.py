"""Experiments on one machine: the fault matrix, and the benchmarks."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # its support
