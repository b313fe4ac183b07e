"""A camera's status, as a detector publishes it: read, checked, and put into words."""

import json

from facefleet.errors import printable
from facefleet.views import OFF, REMEDIES

MAX_VALUE = 10**18  # of any count, and of seconds
MAX_WORD = 20  # characters of what is wrong with a view
COUNTS = ("captured", "stored", "pending", "quarantined", "dead", "evicted", "dropped")
# May be None, as from an older detector:
NUMBERS = (
    *("p50", "p99", "fps", "fps_wanted", "drained_in", "full_in"),
    *("oldest", "hour", "disk"),
)
CLONED = (
    "Another device uses this name: its disk is a copy of this one's, or this one's is a copy. "
    "Give one of them a name of its own."
)
SLOW = 0.6  # share of the configured frame rate


def parse_row(payload: bytes) -> dict | None:
    """Parse a detector's status; return None if the untrusted payload is not one."""
    try:
        row = {**dict.fromkeys(COUNTS, 0), **json.loads(payload)}  # counts of 0 are left out
        if row["state"] == "offline":
            return {"state": "offline"}
        valid = (
            row["state"] == "online"
            and isinstance(row["camera"], str)
            and isinstance(row.get("view", ""), str)
            and all(isinstance(row.get(name, False), bool) for name in ("paused", "cloned"))
            and all(type(row[count]) is int and 0 <= row[count] < MAX_VALUE for count in COUNTS)
            and all(_is_number(row.get(name)) for name in NUMBERS)
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not valid:
        return None
    values = {name: row.get(name) for name in ("state", *COUNTS, *NUMBERS)}
    view = printable(row.get("view", "")[:MAX_WORD])
    return {
        **values,
        "camera": printable(row["camera"][:200]),
        "view": view,
        "paused": row.get("paused"),
        "cloned": row.get("cloned"),
    }


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, float | int) and 0 <= value < MAX_VALUE)


def camera_state(row: dict) -> str:
    """Describe a camera's state in a few words."""
    if row["state"] != "online":
        return row["state"]
    if row["cloned"]:
        return "cloned"
    if row["camera"] != "ok":
        return "camera fault"
    if row["view"]:
        return row["view"]
    if row["captured"] == 0:
        return "no face yet"
    if None not in (row["fps"], row["fps_wanted"]) and row["fps"] < SLOW * row["fps_wanted"]:
        return "slow"
    return "online"


def camera_fault(row: dict) -> str | None:
    """Return a sentence about what is wrong with the camera or its view, or None."""
    if row["camera"] != "ok":
        return row["camera"]
    if row["view"] == OFF:
        return None
    if row["view"]:  # the word of a newer detector has no sentence yet
        return REMEDIES.get(row["view"], f"The view is {row['view']}.")
    return None


def backlog(row: dict) -> list[str]:
    """Say when the backlog is drained, or the outbox full, unless the status may be old."""
    if row["state"] != "online":
        return []
    words = {"drained_in": "drains in", "full_in": "full in"}
    forecast = [f"{words[name]} {about(row[name])}" for name in words if row[name] is not None]
    return ["paused"] * bool(row["paused"]) + forecast


def about(seconds: float) -> str:
    """Say how long something lasts: to the minute, unless it is short or takes days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 2:
        return f"{60 * hours + minutes} min"
    if hours < 48:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{seconds / 86400:.0f} days"


def rate(row: dict) -> str | None:
    if None in (row["fps"], row["fps_wanted"]):
        return None
    return f"{row['fps']:.1f}/{row['fps_wanted']:g}"


def delay(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.3f}"
