"""What the roles work out for a fleet is what it was: golden/ has it for several inventories.

Where a change of it is meant, write the files anew and read their diff:
`GOLDEN=write pytest tests/plans`.
"""

import json
import os
from pathlib import Path

import pytest

from support.plans import ROOT, plans

HERE = Path(__file__).parent
INVENTORIES = [
    *((ROOT / "inventories" / name) for name in ("example", "local")),
    *((HERE / "inventories" / name) for name in ("pods", "processes")),
]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_plan_of_each_host_equals_the_golden_file(inventory, tmp_path):
    golden = HERE / f"golden/{inventory.name}.json"
    found = f"{shown(plans(inventory))}\n"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text(found)
    assert found.splitlines() == golden.read_text().splitlines()


def shown(value, depth=0):
    """As JSON, with what fits on one line."""
    line = json.dumps(value, sort_keys=True)
    if len(line) + depth <= 200 or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(name)}: {shown(value[name], depth + len(name) + 4)}"
            for name in sorted(value)
        ]
    else:
        parts = [shown(item, depth + 1) for item in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}\n" + indented(",\n".join(parts)) + f"\n{end}"


def indented(text):
    return "\n".join(f" {line}" for line in text.splitlines())
