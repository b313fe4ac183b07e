"""Cameras that share what only one of them can have."""


def shared_sources(cameras):
    """`door and yard (/dev/video0)` for each device file that several cameras name."""
    return _shared((camera["source"], camera["name"]) for camera in cameras)


def shared_devices(results):
    """The same by what is behind the names: /dev/v4l/by-id has links to /dev/video0.

    `results`: those of `ansible.builtin.stat` in a loop over `{camera, key, path}`.
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
        return {"shared_sources": shared_sources, "shared_devices": shared_devices}
