"""Check the setting of a device's uplink, as its services would do later."""

import re

SLOWEST = 64_000  # bits per second
TIME = r"([01]?\d|2[0-3])(?::([0-5]\d))?"
HOURS = re.compile(rf"{TIME}-{TIME}(?: (\S+))?", re.ASCII)
UNITS = {"kbit": 1e3, "Mbit": 1e6}


def uplink_problems(uplink):
    """Return a sentence for each invalid value of facefleet_uplink."""
    problems = []
    if uplink.get("rate") is not None:
        problems += rate_problems(uplink["rate"])
    if uplink.get("window_hours") is not None:
        problems += hours_problems(uplink["window_hours"])
    return problems


def rate_problems(rate):
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kbit|Mbit)", str(rate), re.ASCII)
    if found is None:
        return [
            f"The rate of facefleet_uplink is {rate}: use bits per second, such as 256kbit or "
            "1.5Mbit."
        ]
    if float(found[1]) * UNITS[found[2]] < SLOWEST:
        return [f"The rate of facefleet_uplink is {rate}: use at least {SLOWEST // 1000}kbit."]
    return []


def hours_problems(hours):
    """Check the form; the detector checks the time zone, which this machine may not know."""
    found = HOURS.fullmatch(str(hours))
    if found is None:
        return [
            f"The window_hours of facefleet_uplink are {hours}: use hours such as 22-06 (UTC) or "
            "22:30-06:00 Europe/Berlin."
        ]
    begin, end = ((int(found[n]), int(found[n + 1] or 0)) for n in (1, 3))
    if begin == end:
        return [
            f"The window_hours of facefleet_uplink are {hours}, which end when they begin: use "
            "another end."
        ]
    return []


class FilterModule:
    def filters(self):
        return {"uplink_problems": uplink_problems}
