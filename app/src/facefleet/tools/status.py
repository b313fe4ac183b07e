"""Show the fleet at a glance: the latest status of each camera's detector."""

import asyncio
import contextlib
import sys
import time

from facefleet.delivery.reporting import STATUS_EVERY
from facefleet.errors import FacefleetError
from facefleet.mqtt import Connection
from facefleet.protocol import LINK_DOWN, STATUSES, is_label
from facefleet.settings import StatusSettings
from facefleet.tools.cameras import (
    CLONED,
    backlog,
    camera_fault,
    camera_state,
    delay,
    parse_row,
    rate,
)
from facefleet.tools.tables import table
from facefleet.views import OFF

SETTLE = 1.0  # seconds without another retained message, if no camera is expected
HINT = 3.0  # seconds without any status until the user is told why
FIRST_STATUS = STATUS_EVERY + HINT  # seconds; for brokers that do not retain statuses
ATTEMPTS = 3  # to connect, with increasing timeouts
COLUMNS = ["captured", "stored", "pending", "refused", "lost", "fps", "p50/s", "p99/s", "state"]
EMPTY_ROOM = 5.0  # seconds without a face until a working camera counts as seeing an empty room


def print_table(settings: StatusSettings, expected: list[str], seconds: float) -> None:
    """Wait until each expected camera (device/camera) has stored a face, then print the table.

    A camera that sees an empty room also counts, but none with a bad view. Raises FacefleetError
    with the cameras that do not deliver, and their problems if known; immediately if an expected
    name is invalid.
    """
    for name in expected:
        device, _, camera = name.partition("/")
        if not (is_label(device) and is_label(camera)):
            raise FacefleetError(
                f"{name!r} is not a camera: give device/camera, such as edge-1/front"
            )
    found = asyncio.run(_collect(settings, set(expected), seconds))
    print(table(_rows(found)))
    for name, row in sorted(found.items()):
        for sentence in _faults(row):
            print(f"{name}: {sentence}")
    if late := sorted(name for name in expected if not _is_well(found.get(name))):
        reasons = "; ".join(f"{name} ({_problem(found.get(name))})" for name in late)
        raise FacefleetError(f"not delivering after {seconds:.0f} s: {reasons}")


def _is_well(row: dict | None) -> bool:
    return row is not None and (_delivers(row) or _is_idle(row))


def _delivers(row: dict) -> bool:
    return row["state"] == "online" and row["stored"] > 0 and not camera_fault(row)


def _is_idle(row: dict) -> bool:
    """Return whether the camera works but has not seen a face yet, or is off by its schedule."""
    return camera_state(row) in ("no face yet", OFF)


def _problem(row: dict | None) -> str:
    if row is None:
        return "no status received: is its detector running?"
    if row["state"] != "online":
        return row["state"]
    if fault := camera_fault(row):
        return f"camera: {fault}"
    return f"{row['captured']} captured, none stored"


def _faults(row: dict) -> list[str]:
    if row["state"] != "online":
        return []
    fault = camera_fault(row)
    return [CLONED] * bool(row["cloned"]) + [fault] * (fault is not None)


async def _collect(settings: StatusSettings, expected: set[str], seconds: float) -> dict[str, dict]:
    found: dict[str, dict] = {}
    disconnected: set[str] = set()  # devices whose link is down
    idle: dict[str, float] = {}  # per camera: start of being idle, in monotonic seconds
    complete = asyncio.Event()
    over = asyncio.Event()
    problems: list[str] = []
    timer: asyncio.TimerHandle | None = None

    def is_settled(name: str) -> bool:
        if name in idle:  # a retained status may date from just before the first face
            return time.monotonic() - idle[name] > EMPTY_ROOM
        return name in found and _delivers(found[name])

    def end_after(seconds: float) -> None:
        nonlocal timer
        if timer is not None:
            timer.cancel()
        timer = asyncio.get_running_loop().call_later(seconds, over.set)

    def on_message(topic: str, payload: bytes, retain: bool) -> None:
        if retain:
            end_after(SETTLE)
        device, _, camera = topic.removeprefix("status/").partition("/")
        if not is_label(device):
            return
        if not camera:
            (disconnected.add if payload == LINK_DOWN else disconnected.discard)(device)
        elif is_label(camera) and (row := parse_row(payload)):
            name = f"{device}/{camera}"
            found[name] = row
            if _is_idle(row):
                idle.setdefault(name, time.monotonic())
            else:
                idle.pop(name, None)
        if expected and all(map(is_settled, expected)):
            complete.set()

    def hint() -> None:
        if not found:
            print(
                f"The broker has no status of any camera: waiting up to {STATUS_EVERY:.0f} s for "
                "one. Some brokers do not retain statuses.",
                file=sys.stderr,
            )

    def on_up() -> None:
        problems.clear()
        end_after(FIRST_STATUS)
        asyncio.get_running_loop().call_later(HINT, hint)

    def on_down(sentence: str) -> None:
        problems.append(sentence)
        if len(problems) == ATTEMPTS:
            over.set()

    connection = Connection(
        settings.broker,
        "",
        subscriptions=[(STATUSES, 0)],
        on_message=on_message,
        on_up=on_up,
        on_down=on_down,
        tls=settings.tls,
    )
    running = asyncio.create_task(connection.run())
    with contextlib.suppress(TimeoutError):
        await (asyncio.wait_for(complete.wait(), seconds) if expected else over.wait())
    if not found and problems:
        raise FacefleetError(problems[-1])
    running.cancel()
    await asyncio.wait({running})
    for name, row in found.items():
        if name.partition("/")[0] in disconnected and row["state"] == "online":
            row["state"] = "link down"
    return found


def _rows(found: dict[str, dict]) -> list[tuple]:
    """Return one row per camera, in which captured = stored + pending + refused + lost."""
    rows: list[tuple] = [("camera", *COLUMNS)]
    for name, row in sorted(found.items()):
        if "captured" not in row:
            rows.append((name, *([None] * (len(COLUMNS) - 1)), row["state"]))
            continue
        counts = row["captured"], row["stored"], row["pending"]
        refused, lost = row["quarantined"] + row["dead"], row["evicted"] + row["dropped"]
        delays = delay(row["p50"]), delay(row["p99"])
        state = ", ".join([camera_state(row), *backlog(row)])
        rows.append((name, *counts, refused, lost, rate(row), *delays, state))
    return rows
