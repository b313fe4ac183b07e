"""Check the settings of a device's cameras, as its detectors would do later."""

import re
from urllib.parse import quote

# Least and greatest value of a setting (docs/settings.md).
RANGES = {"jpeg_quality": (30, 95), "max_face_size": (64, 800)}
APPSINK = re.compile(r"!\s*appsink\b[^!]*$")
STREAM = re.compile(r"(?:rtsps?|https?)://([^/?#]*)", re.IGNORECASE)
OF_DEVICES = ("pixel_format", "resolution")
RESOLUTION = re.compile(r"[1-9][0-9]{1,3}x[1-9][0-9]{1,3}")
LONGEST_LOGIN = 127  # characters of FFmpeg's buffer for user, colon and password of a URL


def camera_setting_problems(cameras, environment=None):
    """Return a sentence for each invalid setting of a camera. None has a secret.

    `environment`: that of all detectors, with settings for cameras without their own.
    """
    return [
        f"The camera {camera['name']} has {problem}."
        for camera in (with_defaults(camera, environment) for camera in cameras)
        for check in (source_problems, range_problems, login_problems, device_problems)
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
    if len(quote(f"{user or ''}:{password or ''}", safe=":")) > LONGEST_LOGIN:
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


class FilterModule:
    def filters(self):
        return {"camera_setting_problems": camera_setting_problems}
