"""The fleet at a glance: what each camera's detector last said of itself."""

import asyncio
import contextlib
import json

from facefleet.errors import FacefleetError, printable
from facefleet.mqtt import Connection
from facefleet.names import LINK_DOWN, STATUSES, is_label
from facefleet.settings import StatusSettings
from facefleet.tools.tables import table

SETTLE = 1.0  # seconds for the retained messages to come in, where no camera is expected
MOST = 10**18  # of anything that is counted, and of seconds
COLUMNS = ("captured", "stored", "pending", "evicted", "dead")


def print_table(settings: StatusSettings, expected: list[str], seconds: float) -> None:
    """Wait until each expected camera (device/camera) has stored something, then print.

    Raises FacefleetError that names the cameras that did not, and why where they say so; at once
    where an expected one is no camera's name.
    """
    for name in expected:
        device, _, camera = name.partition("/")
        if not (is_label(device) and is_label(camera)):
            raise FacefleetError(
                f"{name!r} does not name a camera: give device/camera, such as edge-1/front"
            )
    found = asyncio.run(_collect(settings, set(expected), seconds))
    print(table(_rows(found)))
    if late := sorted(set(expected) - {name for name, row in found.items() if _delivers(row)}):
        reasons = "; ".join(f"{name} ({_excuse(found.get(name))})" for name in late)
        raise FacefleetError(f"not delivering after {seconds:.0f} s: {reasons}")


def _delivers(row: dict) -> bool:
    return row["state"] == "online" and row["stored"] > 0


def _excuse(row: dict | None) -> str:
    if row is None:
        return "never heard of: is its detector running?"
    if row["state"] != "online":
        return row["state"]
    if row["camera"] != "ok":
        return f"camera: {row['camera']}"
    return f"{row['captured']} captured, none stored"


async def _collect(settings: StatusSettings, expected: set[str], seconds: float) -> dict[str, dict]:
    found: dict[str, dict] = {}
    cut: set[str] = set()  # devices
    complete = asyncio.Event()
    problem: str | None = None

    def on_message(topic: str, payload: bytes, _retain: bool) -> None:
        device, _, camera = topic.removeprefix("status/").partition("/")
        if not is_label(device):
            return
        if not camera:
            (cut.add if payload == LINK_DOWN else cut.discard)(device)
        elif is_label(camera) and (row := _row(payload)):
            found[f"{device}/{camera}"] = row
        if expected and all(name in found and _delivers(found[name]) for name in expected):
            complete.set()

    def on_down(sentence: str) -> None:
        nonlocal problem
        problem = sentence

    connection = Connection(
        settings.broker,
        "",
        subscriptions=[(STATUSES, 0)],
        on_message=on_message,
        on_down=on_down,
        tls=settings.tls,
    )
    running = asyncio.create_task(connection.run())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(complete.wait(), seconds if expected else SETTLE)
    if not found and problem:
        raise FacefleetError(problem)
    running.cancel()
    await asyncio.wait({running})
    for name, row in found.items():
        if name.partition("/")[0] in cut and row["state"] == "online":
            row["state"] = "link down"
    return found


def _row(payload: bytes) -> dict | None:
    """What a detector says of itself, or None: anybody may publish anything."""
    try:
        row = json.loads(payload)
        if row["state"] == "offline":
            return {"state": "offline"}
        whole = (
            row["state"] == "online"
            and isinstance(row["camera"], str)
            and all(type(row[count]) is int and 0 <= row[count] < MOST for count in COLUMNS)
            and all(_is_delay(row[delay]) for delay in ("p50", "p99"))
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not whole:
        return None
    said = {name: row[name] for name in ("state", *COLUMNS, "p50", "p99")}
    return {**said, "camera": printable(row["camera"][:200])}


def _is_delay(value: object) -> bool:
    return value is None or (isinstance(value, float | int) and 0 <= value < MOST)


def _rows(found: dict[str, dict]) -> list[tuple]:
    rows: list[tuple] = [("camera", *COLUMNS, "p50", "p99", "state")]
    for name, row in sorted(found.items()):
        counts = [row.get(column) for column in COLUMNS]
        delays = [_seconds(row.get("p50")), _seconds(row.get("p99"))]
        camera = row.get("camera", "ok")
        rows.append((name, *counts, *delays, row["state"] if camera == "ok" else camera))
    return rows


def _seconds(delay: float | None) -> str | None:
    return None if delay is None else f"{delay:7.3f} s"
