"""SECURITY.md: what it names as a proof is there, and is run."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "SECURITY.md").read_text().split("## Promises, and what proves them")[1]
ROWS = [line.strip("| ").split(" | ") for line in TABLE.splitlines() if line.startswith("| ")][2:]
PROOFS = [proof for _, proofs in ROWS for proof in re.findall(r"`([^`]+)`", proofs)]


def names(node):
    """The name of everything that has one in a file of YAML."""
    if isinstance(node, list):
        for item in node:
            yield from names(item)
    elif isinstance(node, dict):
        if isinstance(node.get("name"), str):
            yield node["name"]
        for inner in node.values():
            yield from names(inner)


@pytest.mark.parametrize("proof", PROOFS)
def test_a_proof_is_there(proof):
    path, name = proof.split("::")
    text = (ROOT / path).read_text()
    if path.endswith(".py"):
        assert name.startswith("test_")
        found = [one.name for one in ast.parse(text).body if isinstance(one, ast.FunctionDef)]
    else:
        found = list(names(yaml.safe_load(text)))
    assert name in found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_promise_has_a_proof(row):
    promise, proofs = row
    assert promise
    assert re.fullmatch(r"`[^`]+::[^`]+`(, `[^`]+::[^`]+`)*", proofs)


def test_each_scenario_that_proves_is_one_that_is_run():
    run = re.findall(r"-s (\w+)", (ROOT / "Makefile").read_text())
    scenarios = {proof.split("/")[1] for proof in PROOFS if proof.startswith("molecule/")}
    assert scenarios <= set(run)
    assert ROWS
