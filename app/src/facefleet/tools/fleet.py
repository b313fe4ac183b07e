"""The devices of a fleet, as their statuses describe them, and what is wrong with each in words.

Pure: the time is passed in. Statuses are untrusted, and each device is judged by its own alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from facefleet.errors import FacefleetError, printable
from facefleet.protocol import LINK_DOWN, LINK_UP, is_label
from facefleet.report import CLOCK_OFF, RECORD, REPORT_EVERY, Report, device_of_report
from facefleet.tools.cameras import (
    CLONED,
    about,
    backlog,
    camera_fault,
    camera_state,
    parse_row,
)

CERTIFICATE_ENDS = 14  # days left below which a certificate is a problem
LOW_DISK = 2000  # MB
LOW_MEMORY = 200  # MB
HOT = 85  # degrees Celsius; a Jetson slows down at 95 and more
QUIET = 300.0  # seconds without the status that each camera sends every minute
SILENT = 2 * REPORT_EVERY  # seconds, for a device without cameras
DAY = 86_400
_TIMES = (0, 1e11)  # Unix time
_COMPARED = RECORD[:3]


@dataclass(frozen=True)
class Desired:
    """What a device should run, by the inventory, and whether ssh reaches it."""

    content: str | None = None
    k3s: str | None = None
    configuration: str | None = None
    cameras: tuple[str, ...] = ()
    ssh: str | None = None
    """Why ssh does not reach the device; empty if it does, None if it was not tried."""

    @classmethod
    def of(cls, name: str, body: object) -> "Desired":
        """Raise FacefleetError if `body` does not describe a device."""
        values = body if isinstance(body, dict) else {"": None}
        texts = {key: value for key, value in values.items() if key != "cameras"}
        cameras = values.get("cameras", [])
        if (
            not is_label(name)
            or not set(values) <= set(cls.__dataclass_fields__)
            or not all(value is None or isinstance(value, str) for value in texts.values())
            or not (isinstance(cameras, list) and all(isinstance(one, str) for one in cameras))
        ):
            raise FacefleetError(
                f"what {name!r} should run is not valid: give an object with some of "
                f"{', '.join(cls.__dataclass_fields__)}"
            )
        return cls(**texts, cameras=tuple(cameras))


@dataclass
class Device:
    """A device. Times are Unix time by the cloud's clock."""

    name: str
    link: str | None = None
    """`up`, `down`, or `silent` if nothing was heard although it counts as up; None if unknown."""
    since: float | None = None
    """When the link went up or down."""
    heard: float | None = None
    """When the device was heard last."""
    report: Report = field(default_factory=Report)
    cameras: dict[str, dict] = field(default_factory=dict)
    """What each camera reports (tools/cameras.py), and when that was `heard`."""
    desired: Desired | None = None

    @property
    def disk(self) -> int | None:
        """The free MB of the outboxes' disk, which each camera reports."""
        found = [row["disk"] for row in self.cameras.values() if row.get("disk") is not None]
        return int(min(found)) if found else None

    @property
    def drift(self) -> list[str]:
        """The values of the record that differ from the desired ones."""
        if self.desired is None:
            return []
        wanted = {name: getattr(self.desired, name) for name in _COMPARED}
        runs = {name: getattr(self.report, name) for name in _COMPARED}
        return [name for name in _COMPARED if wanted[name] and wanted[name] != runs[name]]

    def certificate_days(self, now: float) -> int | None:
        end = self.report.certificate
        return None if end is None else math.floor((end - now) / DAY)

    def oldest(self, camera: str, now: float) -> float | None:
        """Return the age of the camera's oldest unconfirmed face, in seconds."""
        row = self.cameras[camera]
        if row.get("oldest") is None:
            return None
        return row["oldest"] + (max(0.0, now - row["heard"]) if row["heard"] else 0)


@dataclass(frozen=True)
class Fleet:
    """The devices by name, when they were looked at, and since when their statuses are heard."""

    now: float
    started: float
    devices: dict[str, Device]


def read_fleet(answer: object, desired: Mapping[str, Desired] | None) -> Fleet:
    """Read a processor's statuses (heard.py). Raises FacefleetError if they are something else."""
    if not isinstance(answer, dict) or not isinstance(statuses := answer.get("statuses"), dict):
        raise FacefleetError("the processor's answer has no statuses: check its address")
    now, started = _time(answer.get("now")), _time(answer.get("started"))
    if now is None or started is None:
        raise FacefleetError("the processor's answer has no time: check its address")
    devices = {name: Device(name, desired=wanted) for name, wanted in (desired or {}).items()}
    for topic, status in sorted(statuses.items()):
        kind, *names = topic.split("/")
        is_text = isinstance(status, dict) and isinstance(status.get("payload"), str)
        if is_text and kind == "status" and len(names) in (1, 2) and is_label(names[0]):
            _add(devices.setdefault(names[0], Device(names[0])), topic, status)
    for device in devices.values():
        _complete(device, now)
    return Fleet(now, started, dict(sorted(devices.items())))


def _add(device: Device, topic: str, status: dict) -> None:
    payload, heard = status["payload"], _time(status.get("heard"))
    camera = topic.split("/")[2] if topic.count("/") == 2 else None
    if camera is None:
        device.link = {LINK_UP.decode(): "up", LINK_DOWN.decode(): "down"}.get(payload)
        device.since = _time(status.get("since"))
        if device.link == "down":
            heard = None  # the broker said it
    elif device_of_report(topic):
        device.report = Report.decode(payload) or Report()
    elif is_label(camera) and (row := parse_row(payload.encode(errors="replace"))):
        device.cameras[camera] = {**row, "heard": heard}
    else:
        return
    if heard is not None:
        device.heard = max(heard, device.heard or 0)


def _complete(device: Device, now: float) -> None:
    report = device.report
    if device.heard is None and report.at is not None:  # retained: by the device's own clock
        device.heard = min(now, max(0.0, report.at - (report.clock or 0)))
    if device.link == "up" and device.heard is not None:
        sends = any(row["state"] == "online" for row in device.cameras.values())
        if now - device.heard > (QUIET if sends else SILENT):
            device.link = "silent"


def _time(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and _TIMES[0] <= value <= _TIMES[1] else None


# -- in words ----------------------------------------------------------------------------------


def problems(device: Device, fleet: Fleet, *, has_inventory: bool) -> list[str]:
    """Return a sentence for each thing that is wrong with a device, its cameras last."""
    found = []
    if has_inventory and device.desired is None:
        found.append("It is not in the inventory.")
    if device.desired and device.desired.ssh:
        found.append(f"ssh does not reach it: {printable(device.desired.ssh)}")
    found += _of_link(device, fleet)
    if device.link is not None:
        found += _of_record(device)
        found += _of_machine(device, fleet.now)
    if device.link in ("up", "silent"):
        found += _of_cameras(device)
    return found


def _of_link(device: Device, fleet: Fleet) -> list[str]:
    if device.link is None and device.heard is None:
        start = moment(fleet.started)
        return [f"The cloud has heard nothing of it since {start}: check its power and its uplink."]
    ago = "" if device.heard is None else f", and was last heard {moment(device.heard)}"
    if device.link == "down":
        since = f" since {moment(device.since)}" if device.since else ""
        return [f"It is cut off from the cloud{since}{ago}: check its power and its uplink."]
    if device.link == "silent":
        return [
            f"Nothing was heard of it for {about(fleet.now - device.heard)}, although it has not "
            "disconnected: check its power and its uplink."
        ]
    return []


def _of_record(device: Device) -> list[str]:
    if not device.drift:
        return []
    parts = [
        f"{name} {getattr(device.report, name) or 'unknown'} instead of "
        f"{getattr(device.desired, name)}"
        for name in device.drift
    ]
    return [f"It does not run what the inventory says: {', '.join(parts)}."]


def _of_machine(device: Device, now: float) -> list[str]:
    report, found = device.report, []
    days = device.certificate_days(now)
    if days is not None and days < CERTIFICATE_ENDS:
        ends = f"expires in {days} days" if days >= 0 else f"expired {-days} days ago"
        found.append(f"Its certificate {ends}: run playbooks/edge.yml, which renews it.")
    if device.disk is not None and device.disk < LOW_DISK:
        found.append(f"Its disk has only {gigabytes(device.disk)} left: free some space.")
    if report.memory is not None and report.memory < LOW_MEMORY:
        found.append(f"It has only {report.memory} MB of memory left.")
    if report.temperature is not None and report.temperature >= HOT:
        found.append(f"It is {report.temperature} °C hot: cool it.")
    if report.clock is not None and abs(report.clock) - (report.bound or 0) > CLOCK_OFF:
        side = "ahead of" if report.clock > 0 else "behind"
        found.append(
            f"Its clock is {about(abs(report.clock))} {side} the cloud's: check its time "
            "synchronization."
        )
    return found


def _of_cameras(device: Device) -> list[str]:
    found = []
    missing = set(device.desired.cameras if device.desired else ()) - set(device.cameras)
    for name in sorted({*missing, *device.cameras}):
        sentences = (
            ["It has sent no status: check whether its detector runs."]
            if name in missing
            else camera_problems(device.cameras[name])
        )
        found += [f"Camera {printable(name)}: {sentence}" for sentence in sentences]
    return found


def camera_problems(row: dict) -> list[str]:
    """Return a sentence for each thing that is wrong with a camera or its outbox."""
    if row["state"] != "online":
        return ["Its detector does not run."]
    found = [CLONED] * bool(row["cloned"])
    if fault := camera_fault(row):
        found.append(fault)
    elif camera_state(row) == "slow":
        found.append("It is watched more slowly than requested: see the log of its detector.")
    if row["full_in"] is not None:
        found.append(f"Its outbox is full in {about(row['full_in'])}, and then evicts faces.")
    if lost := row["evicted"] + row["dropped"]:
        found.append(f"{lost:,} of its faces were evicted or dropped.")
    if refused := row["quarantined"] + row["dead"]:
        found.append(f"{refused:,} of its faces were refused: see `facefleet outbox list`.")
    return found


def state_of(device: Device, row: dict) -> str:
    """Return a camera's state, with the forecast of its backlog if it is fresh."""
    if device.link == "down" and row["state"] == "online":
        return "link down"
    forecast = backlog(row) if device.link == "up" else []
    return ", ".join([camera_state(row), *forecast])


def moment(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"


def gigabytes(megabytes: float) -> str:
    return f"{megabytes / 1000:,.1f} GB"
