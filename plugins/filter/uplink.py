"""Check the setting of a device's uplink, as its services would do later."""

import re

SLOWEST = 64_000  # bits per second
UNITS = {"kbit": 1e3, "Mbit": 1e6}


def uplink_problems(uplink):
    """Return a sentence for each invalid value of facefleet_uplink."""
    rate = uplink.get("rate")
    if rate is None:
        return []
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kbit|Mbit)", str(rate), re.ASCII)
    if found is None:
        return [
            f"The rate of facefleet_uplink is {rate}: use bits per second, such as 256kbit or "
            "1.5Mbit."
        ]
    if float(found[1]) * UNITS[found[2]] < SLOWEST:
        return [f"The rate of facefleet_uplink is {rate}: use at least {SLOWEST // 1000}kbit."]
    return []


class FilterModule:
    def filters(self):
        return {"uplink_problems": uplink_problems}
