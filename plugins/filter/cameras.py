"""Rules about the cameras of a device."""

import json
import re

PIPELINE = "gstreamer:"
PIPELINE_DEVICE = re.compile(r"\bdevice=[\"']?(/dev/[^\s\"'!]+)")
PIPELINE_ADDRESS = re.compile(r"(?:rtsps?|https?)://[^\s\"'!]+")
PATHS = ("source", "model")  # keys of a camera that may be paths on its device
# Keys of a camera that are settings of its detector, each FACEFLEET_<KEY> (docs/settings.md).
SETTINGS = (
    *("capture", "color", "detector", "exclude", "faces_only", "faces_per_visit", "fps", "include"),
    *("jpeg_quality", "max_face_size"),
    *("min_face", "pixel_format", "resolution", "rotation", "schedule", "search"),
)


def camera_path(camera, key):
    """Return a path of a camera; that of a GStreamer pipeline is its device."""
    value = str(camera.get(key) or "")
    if key == "source" and value.startswith(PIPELINE):
        value = next(iter(PIPELINE_DEVICE.findall(value)), "")
    return value if value.startswith("/") else ""


def camera_paths(cameras):
    """Return `{camera, key, path}` of each device, file and folder that the cameras use."""
    return [
        {"camera": camera["name"], "key": key, "path": path}
        for camera in cameras
        for key in PATHS
        if (path := camera_path(camera, key))
    ]


def camera_problems(results):
    """Return a sentence for each missing path, and for each device that cameras share.

    `results`: of `ansible.builtin.stat` in a loop over `camera_paths`.
    """
    problems = [missing(result["item"]) for result in results if not exists(result)]
    return problems + [
        f"These cameras have the same device: {shared}. Only one detector can open it: correct "
        "their sources."
        for shared in shared_devices(results)
    ]


def exists(result):
    kind = "ischr" if result["item"]["path"].startswith("/dev/") else "exists"
    return bool(result["stat"].get(kind))


def missing(item):
    what = (
        "device: connect it (ls /dev/video* /dev/v4l/by-id/* lists the existing ones)"
        if item["path"].startswith("/dev/")
        else "file or folder: create it"
    )
    return (
        f"The {item['key']} of the camera {item['camera']} is {item['path']}, but this host has no "
        f"such {what}, or correct facefleet_cameras."
    )


def attached_devices(cameras):
    """Return the device file by detector, for the cameras that are attached to the host."""
    return {
        f"detector-{camera['name']}": path
        for camera in cameras
        if (path := camera_path(camera, "source")).startswith("/dev/")
    }


def camera_addresses(camera):
    """Return the addresses of the network that a detector connects to for its camera."""
    source = camera["source"]
    if source.startswith(PIPELINE):
        return PIPELINE_ADDRESS.findall(source)
    return [source] if "://" in source else []


def camera_environment(camera):
    """Return a detector's environment from the settings of its camera; unset ones are omitted."""
    given = {
        f"FACEFLEET_{key.upper()}": json.dumps(value) if isinstance(value, list) else value
        for key in SETTINGS
        if (value := camera.get(key)) is not None
    }
    return {**given, **(camera.get("environment") or {})}


def camera_secrets(camera):
    """Return the part of a detector's environment that others must not see."""
    return {
        f"FACEFLEET_{key.upper()}": camera[key]
        for key in ("source", "user", "password")
        if camera.get(key) is not None
    }


def fleet_cameras(devices):
    """Return `device/camera` of all cameras of a fleet, from cameras by device."""
    return [f"{device}/{camera['name']}" for device, each in devices.items() for camera in each]


def shared_sources(cameras):
    """Return text like `door and yard (/dev/video0)` for each device file that cameras share."""
    return _shared((camera_path(camera, "source"), camera["name"]) for camera in cameras)


def shared_devices(results):
    """Return the same by device number, since /dev/v4l/by-id has links to /dev/video0.

    `results`: of `ansible.builtin.stat` in a loop over `{camera, key, path}`.
    """
    stats = [(result["item"], result.get("stat") or {}) for result in results]
    return _shared(
        (f"/dev, major and minor number {stat['device_type']:#x}", item["camera"])
        for item, stat in stats
        if stat.get("ischr") is True and isinstance(stat.get("device_type"), int)
    )


def _shared(pairs):
    found = {}
    for source, camera in pairs:
        if source.startswith("/dev"):
            found.setdefault(source, []).append(camera)
    return [
        f"{' and '.join(names)} ({source})" for source, names in found.items() if len(names) > 1
    ]


class FilterModule:
    def filters(self):
        return {
            "attached_devices": attached_devices,
            "camera_addresses": camera_addresses,
            "camera_environment": camera_environment,
            "camera_paths": camera_paths,
            "camera_problems": camera_problems,
            "camera_secrets": camera_secrets,
            "fleet_cameras": fleet_cameras,
            "shared_sources": shared_sources,
        }
