"""Read a machine's /proc and /sys, its certificate, and the record of what runs on it."""

import json
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

from facefleet.report import MAX_REPORT_BYTES, record

_VALIDITY = re.compile(rb"(?:\x17\x0d|\x18\x0f)(\d{12,14})Z(?:\x17\x0d|\x18\x0f)(\d{12,14})Z")
"""Start and end of a certificate's validity: two UTCTimes or GeneralizedTimes, in DER."""
_END = "-----END CERTIFICATE-----\n"
_CONSTANT = "PMIC"  # the sensor of a Jetson Nano that always reads 50 or 100 degrees
_MEASURABLE = range(-60, 200)  # degrees Celsius


def uptime(proc: Path = Path("/proc")) -> int | None:
    """Return the seconds since the kernel started."""
    found = re.match(r"\d+", _read(proc / "uptime"))
    return int(found[0]) if found else None


def memory_available(proc: Path = Path("/proc")) -> int | None:
    """Return the memory available, in MB."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(proc / "meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 // 1_000_000 if found else None


def temperature(zones: Path = Path("/sys/class/thermal")) -> int | None:
    """Return the temperature of the hottest sensor in degrees Celsius; None without a sensor."""
    found = []
    for zone in zones.glob("thermal_zone*"):
        millidegrees = re.fullmatch(r"-?\d+", _read(zone / "temp").strip())
        if millidegrees and _CONSTANT not in _read(zone / "type"):
            found.append(round(int(millidegrees[0]) / 1000))
    return max((degrees for degrees in found if degrees in _MEASURABLE), default=None)


def certificate_end(folder: Path | None) -> int | None:
    """Return when the certificate in a folder expires, in Unix time."""
    if folder is None:
        return None
    try:
        der = ssl.PEM_cert_to_DER_cert(_read(folder / "tls.crt").partition("-----END")[0] + _END)
        text = _VALIDITY.search(der)[2].decode()
        year = text if len(text) == 14 else ("20" if text < "5" else "19") + text
        return int(datetime.strptime(year, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except (ValueError, TypeError):
        return None


def deployed(path: Path | None) -> dict[str, str | None]:
    """Return the record of what runs on this host."""
    try:
        body = json.loads(_read(path)) if path else {}
    except (ValueError, RecursionError):
        body = {}
    return record(body if isinstance(body, dict) else {})


def _read(path: Path) -> str:
    """Return the start of a file; nothing if it is missing, or its sensor is switched off."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(16 * MAX_REPORT_BYTES)
    except OSError:
        return ""
