"""Check the settings of a device's cameras and uplink, as its services would do later."""

import re
from urllib.parse import quote

# Least and greatest value of a setting (docs/settings.md).
RANGES = {"jpeg_quality": (30, 95), "max_face_size": (64, 800)}
APPSINK = re.compile(r"!\s*appsink\b[^!]*$")
STREAM = re.compile(r"(?:rtsps?|https?)://([^/?#]*)", re.IGNORECASE)
DAYS = "(?:mon|tue|wed|thu|fri|sat|sun)(?:-(?:mon|tue|wed|thu|fri|sat|sun))?"
HOUR = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
SCHEDULE = re.compile(
    rf"{DAYS}(?:,{DAYS})* (?P<begin>{HOUR})-(?P<end>{HOUR}|24:00)(?: [A-Za-z0-9_+/-]+)?"
)
HOURS = "days, hours and a time zone, such as mon-fri 07:00-19:00 Europe/Berlin"
OF_DEVICES = ("pixel_format", "resolution")
RESOLUTION = re.compile(r"[1-9][0-9]{1,3}x[1-9][0-9]{1,3}")
SLOWEST_UPLINK = 64_000  # bits per second
RATE = re.compile(r"(\d+(?:\.\d+)?) ?(kbit|Mbit)", re.ASCII)
UNITS = {"kbit": 1e3, "Mbit": 1e6}
SIZE = re.compile(r"(\d+) ?(B|[KM]i?B)", re.ASCII)
SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "KiB": 1 << 10, "MiB": 1 << 20}
MESSAGE_SIZES = (16 << 10, 1 << 20)  # bytes
LONGEST_LOGIN = 127  # characters of FFmpeg's buffer for user, colon and password of a URL


def camera_setting_problems(cameras, environment=None):
    """Return a sentence for each invalid setting of a camera. None has a secret.

    `environment`: that of all detectors, with settings for cameras without their own.
    """
    return [
        f"The camera {camera['name']} has {problem}."
        for camera in (with_defaults(camera, environment) for camera in cameras)
        for check in CHECKS
        for problem in check(camera)
    ]


def source_problems(camera):
    if camera["source"].startswith("gstreamer:") and not APPSINK.search(camera["source"]):
        yield "a GStreamer pipeline that ends with something else: end it with ! appsink"


def with_defaults(camera, environment):
    own = {key: value for key, value in camera.items() if value is not None}
    return {**settings_of(environment), **own, **settings_of(camera.get("environment"))}


def settings_of(environment):
    given = environment if isinstance(environment, dict) else {}
    return {
        key: given[name]
        for key in (*RANGES, *OF_DEVICES)
        if given.get(name := f"FACEFLEET_{key.upper()}") is not None
    }


def schedule_problems(camera):
    if camera.get("schedule") == []:
        yield "an empty schedule: give it hours, or remove it"
    for entry in invalid_hours(camera.get("schedule")):
        yield f"an invalid schedule: {entry!r} is not {HOURS}"


def invalid_hours(entries):
    """Yield entries of a wrong form. The detector checks time zones: this machine may lack them."""
    for entry in entries or []:
        hours = SCHEDULE.fullmatch(entry) if isinstance(entry, str) else None
        if hours is None or hours["begin"] == hours["end"]:
            yield entry


def polygon_problems(camera):
    for key in ("include", "exclude"):
        if camera.get(key) == []:
            yield f"an empty {key}: give it a polygon, or remove it"
        for number, polygon in enumerate(camera.get(key) or [], 1):
            if not (
                isinstance(polygon, list) and len(polygon) >= 3 and all(map(is_point, polygon))
            ):
                yield (
                    f"an invalid polygon {number} in {key}: give it at least three points [x, y], "
                    "fractions of width and height from 0 to 1"
                )
            elif not area(polygon):
                yield f"an invalid polygon {number} in {key}: it has no area"


def is_point(value):
    return isinstance(value, list) and len(value) == 2 and all(map(is_fraction, value))


def is_fraction(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def area(polygon):
    """Return twice the area of a polygon, as a whole number of millionths."""
    sides = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return round(1e6 * sum(x * y2 - x2 * y for (x, y), (x2, y2) in sides))


def range_problems(camera):
    for key, (least, most) in RANGES.items():
        value = str(camera.get(key, least))
        if not (value.isdecimal() and least <= int(value) <= most):
            yield f"an invalid {key}: set it to a number from {least} to {most}"


def login_problems(camera):
    user, password = camera.get("user"), camera.get("password")
    stream = STREAM.match(camera["source"])
    if not user and not password:
        return
    if stream is None:
        yield "a user or a password, but its source is not an rtsp or http address: remove them"
    elif "@" in stream[1]:
        yield "a user or a password, and others in its source: remove those from the source"
    if not user:
        yield "a password without a user: set user, too"
    elif ":" in user:
        yield "a colon in its user, which neither RTSP nor HTTP allows: remove the colon"
    if len(":".join(quote(part or "", safe="") for part in (user, password))) > LONGEST_LOGIN:
        yield (
            f"a password that is too long: user and password may have {LONGEST_LOGIN - 1} "
            "characters (each of @:/# and the like counts three times)"
        )


def device_problems(camera):
    resolution = camera.get("resolution")
    if resolution is not None and not RESOLUTION.fullmatch(str(resolution)):
        yield "an invalid resolution: set it to width and height in pixels, such as 1280x720"
    for key in OF_DEVICES:
        if camera.get(key) is not None and not camera["source"].startswith("/dev/"):
            yield f"a {key}, which only a camera of the machine itself (/dev/...) has: remove it"


CHECKS = (
    *(source_problems, schedule_problems, polygon_problems, range_problems, login_problems),
    device_problems,
)


def uplink_problems(uplink):
    """Return a sentence for each invalid value of facefleet_uplink."""
    return [
        f"The {key} of facefleet_uplink {problem}."
        for key, check in UPLINK_CHECKS
        if uplink.get(key) is not None
        for problem in check(uplink[key])
    ]


def rate_problems(rate):
    found = RATE.fullmatch(str(rate))
    if found is None:
        yield f"is {rate}: use bits per second, such as 256kbit or 1.5Mbit"
    elif float(found[1]) * UNITS[found[2]] < SLOWEST_UPLINK:
        yield f"is {rate}: use at least {SLOWEST_UPLINK // 1000}kbit"


def window_problems(entries):
    if not entries:
        yield "are empty: give some, or remove window_hours"
    for entry in invalid_hours(entries):
        yield f"are invalid: {entry!r} is not {HOURS}"


def messages_problems(number):
    if not (str(number).isdecimal() and int(number) > 0):
        yield f"are {number}: use a whole number of messages a second, such as 100"


def message_size_problems(size):
    found = SIZE.fullmatch(str(size))
    least, most = MESSAGE_SIZES
    if not found or not least <= int(found[1]) * SIZES[found[2]] <= most:
        yield f"is {size}: use a size from 16KiB to 1MiB, such as 128KiB"


UPLINK_CHECKS = (
    ("rate", rate_problems),
    ("messages", messages_problems),
    ("message_size", message_size_problems),
    ("window_hours", window_problems),
)


class FilterModule:
    def filters(self):
        return {
            "camera_setting_problems": camera_setting_problems,
            "uplink_problems": uplink_problems,
        }
