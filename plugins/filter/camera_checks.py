"""Check the settings of a device's cameras, as its detectors would do later."""

import re
from urllib.parse import quote

# Least and greatest value of a setting (docs/settings.md).
RANGES = {"jpeg_quality": (30, 95), "max_face_size": (64, 800)}
STREAM = re.compile(r"(?:rtsps?|https?)://([^/?#]*)", re.IGNORECASE)
LONGEST_LOGIN = 127  # characters of FFmpeg's buffer for user, colon and password of a URL


def camera_setting_problems(cameras):
    """Return a sentence for each invalid setting of a camera. None has a secret."""
    return [
        f"The camera {camera['name']} has {problem}."
        for camera in cameras
        for problem in [*range_problems(camera), *login_problems(camera)]
    ]


def range_problems(camera):
    for key, (least, most) in RANGES.items():
        if camera.get(key) is not None and not least <= camera[key] <= most:
            yield f"an invalid {key}: set it to a number from {least} to {most}"


def login_problems(camera):
    user, password = camera.get("user"), camera.get("password")
    stream = STREAM.match(camera["source"])
    if user is None and password is None:
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


class FilterModule:
    def filters(self):
        return {"camera_setting_problems": camera_setting_problems}
