"""Show the fleet device by device, and what is wrong: as tables, or as JSON."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from facefleet.errors import FacefleetError
from facefleet.report import RECORD
from facefleet.settings import DevicesSettings
from facefleet.tools.cameras import about, camera_state, delay, rate
from facefleet.tools.fleet import (
    Desired,
    Device,
    Fleet,
    camera_problems,
    gigabytes,
    problems,
    read_fleet,
    state_of,
)
from facefleet.tools.tables import table

TIMEOUT = 20  # seconds for the processor's answer
MAX_ANSWER = 128 << 20  # bytes
MAX_DESIRED = 16 << 20
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_DEVICE = (
    *("device", "link", "heard", "up for", "disk free", "memory free", "temperature"),
    *("certificate", "clock ahead"),
)
_CAMERA = (
    *("camera", "captured", "stored", "pending", "oldest", "last hour", "fps", "p50/s", "p99/s"),
    "state",
)


def print_devices(settings: DevicesSettings, desired: Path | None, *, as_json: bool) -> None:
    """Print what the processor has heard. Raises FacefleetError."""
    wanted = None if desired is None else _read_desired(desired)
    fleet = read_fleet(_ask(settings.processor), wanted)
    has_inventory = wanted is not None
    if as_json:
        print(json.dumps(as_data(fleet, has_inventory=has_inventory), indent=2))
    else:
        print(as_text(fleet, has_inventory=has_inventory))


def _ask(address: str) -> object:
    url = f"http://{address}/statuses"
    try:
        with _DIRECT.open(url, timeout=TIMEOUT) as answer:
            body = answer.read(MAX_ANSWER + 1)
        if len(body) > MAX_ANSWER:
            raise FacefleetError(f"the answer of {url} is too long: check the address")
        return json.loads(body)
    except urllib.error.HTTPError as error:
        raise FacefleetError(
            f"the processor at {address} does not tell its statuses ({error.code}): check the "
            "address, and whether the processor is as new as this program"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise FacefleetError(
            f"no answer from the processor at {address} ({error}): is it running?"
        ) from error


def _read_desired(path: Path) -> dict[str, Desired]:
    try:
        with sys.stdin if path == Path("-") else path.open() as file:
            body = json.loads(file.read(MAX_DESIRED))
    except (OSError, ValueError, RecursionError) as error:
        raise FacefleetError(f"cannot read {path} ({error}): give a file with JSON") from error
    if not isinstance(body, dict):
        raise FacefleetError(f"{path} has no object of devices: give one, by device name")
    return {name: Desired.of(name, value) for name, value in body.items()}


# -- as text -----------------------------------------------------------------------------------


def as_text(fleet: Fleet, *, has_inventory: bool) -> str:
    """Return a table of the devices, one of what they run, one of the cameras, and sentences."""
    if not fleet.devices:
        return "No device has been heard of."
    devices = fleet.devices.values()
    tables = [
        [_DEVICE, *(_device_row(device, fleet.now) for device in devices)],
        [("device", *RECORD, "drift"), *(_record_row(device) for device in devices)],
        [_CAMERA, *(_camera_row(one, name, fleet.now) for one in devices for name in one.cameras)],
    ]
    sentences = [
        f"{device.name}: {sentence}"
        for device in devices
        for sentence in problems(device, fleet, has_inventory=has_inventory)
    ]
    shown = [table(rows) for rows in tables if len(rows) > 1]
    return "\n\n".join([*shown, "\n".join(sentences or ["No problems."])])


def _device_row(device: Device, now: float) -> tuple:
    report, days = device.report, device.certificate_days(now)
    return (
        device.name,
        device.link,
        _or_none(device.heard, lambda heard: f"{about(max(0.0, now - heard))} ago"),
        _or_none(report.up, about),
        _or_none(device.disk, gigabytes),
        _or_none(report.memory, gigabytes),
        _or_none(report.temperature, lambda degrees: f"{degrees} °C"),
        _or_none(days, lambda days: f"{days} days"),
        _or_none(report.clock, lambda clock: f"{clock:+,.1f} s ± {report.bound or 0:.1f}"),
    )


def _record_row(device: Device) -> tuple:
    values = (getattr(device.report, name) for name in RECORD)
    drift = None if device.desired is None else ", ".join(device.drift) or "none"
    return device.name, *values, drift


def _camera_row(device: Device, name: str, now: float) -> tuple:
    row = device.cameras[name]
    label, state = f"{device.name}/{name}", state_of(device, row)
    if "captured" not in row:
        return label, *([None] * (len(_CAMERA) - 2)), state
    return (
        label,
        *(row[count] for count in ("captured", "stored", "pending")),
        _or_none(device.oldest(name, now), about),
        _or_none(row["hour"], int),
        rate(row),
        delay(row["p50"]),
        delay(row["p99"]),
        state,
    )


def _or_none(value: object, show: object) -> object:
    return None if value is None else show(value)


# -- as data -----------------------------------------------------------------------------------


def as_data(fleet: Fleet, *, has_inventory: bool) -> Mapping[str, object]:
    """Return what the tables show, for programs. Times are Unix time, unknown values None."""
    devices = {
        name: _device_data(device, fleet, has_inventory) for name, device in fleet.devices.items()
    }
    return {"now": fleet.now, "heard_since": fleet.started, "devices": devices}


def _device_data(device: Device, fleet: Fleet, has_inventory: bool) -> dict[str, object]:
    report, desired = device.report, device.desired
    return {
        "link": device.link,
        "link_since": device.since,
        "heard": device.heard,
        "ssh": None if desired is None or desired.ssh is None else desired.ssh or "reached",
        "up_seconds": report.up,
        "disk_free_bytes": _or_none(device.disk, lambda size: size * 1_000_000),
        "memory_available_bytes": _or_none(report.memory, lambda size: size * 1_000_000),
        "temperature_celsius": report.temperature,
        "certificate_expires": report.certificate,
        "certificate_days_left": device.certificate_days(fleet.now),
        "clock_ahead_seconds": report.clock,
        "clock_bound_seconds": report.bound,
        **{name: getattr(report, name) for name in RECORD},
        "drift": {name: getattr(desired, name) for name in device.drift},
        "problems": problems(device, fleet, has_inventory=has_inventory),
        "cameras": {name: _camera_data(device, name, fleet.now) for name in device.cameras},
    }


def _camera_data(device: Device, name: str, now: float) -> dict[str, object]:
    row = device.cameras[name]
    shown = {key: value for key, value in row.items() if key not in ("camera", "disk", "oldest")}
    return {
        **shown,
        "state": "link down" if device.link == "down" else camera_state(row),
        "oldest_seconds": device.oldest(name, now),
        "problems": camera_problems(row),
    }
