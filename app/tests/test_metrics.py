"""The metrics are named by Prometheus' conventions, and docs/metrics.md lists them."""

import re
from pathlib import Path

import pytest
from facefleet.services import (  # noqa: F401  (each registers its own)
    detector,
    device_plugin,
    forwarder,
    gallery,
    logger,
    processor,
)
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

PAGE = Path(__file__).parents[2] / "docs/metrics.md"
SUFFIX = {Counter: "_total", Gauge: "", Histogram: ""}
METRICS = {
    name + SUFFIX[type(metric)]: metric
    for metric, names in REGISTRY._collector_to_names.items()
    if (name := getattr(metric, "_name", "")).startswith("facefleet_") and names
}


def row(name: str) -> list[str]:
    """Type, labels and meaning, as the code has them."""
    metric = METRICS[name]
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    return [type(metric).__name__.lower(), labels, metric._documentation]


def test_the_page_lists_every_metric() -> None:
    lines = PAGE.read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    shown = {cells[0].strip("`"): cells[1:] for cells in rows if cells and "`" in cells[0]}
    assert shown == {name: row(name) for name in METRICS}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_named_by_convention(name: str) -> None:
    assert re.fullmatch(r"facefleet_[a-z]+(_[a-z]+)*", name)
    assert name.endswith("_total") == isinstance(METRICS[name], Counter)
    if isinstance(METRICS[name], Histogram):
        assert name.endswith("_seconds")
    assert not re.search(r"_(ms|millis|minutes|kb|mb|rate|percent)$", name)
