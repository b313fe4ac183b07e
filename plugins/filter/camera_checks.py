"""Check the settings of a device's cameras, as its detectors would do later."""

# Least and greatest value of a setting (docs/settings.md).
RANGES = {"jpeg_quality": (30, 95), "max_face_size": (64, 800)}


def camera_setting_problems(cameras):
    """Return a sentence for each invalid setting of a camera."""
    return [
        f"The camera {camera['name']} has an invalid {key}: set it to a number from {least} to "
        f"{most}."
        for camera in cameras
        for key, (least, most) in RANGES.items()
        if camera.get(key) is not None and not least <= camera[key] <= most
    ]


class FilterModule:
    def filters(self):
        return {"camera_setting_problems": camera_setting_problems}
