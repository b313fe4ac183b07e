"""Data for the manifests of a service."""

import hashlib
from pathlib import PurePosixPath


def volume_folders(results, service):
    """Return `{name, path}` of each folder of the host that a service reads.

    `results`: of `ansible.builtin.stat` in a loop over paths. For a file, its folder is returned,
    as only folders can be volumes. A path that does not exist yet counts as a folder.
    """
    paths = [
        result["item"]
        if result["stat"].get("isdir", True)
        else str(PurePosixPath(result["item"]).parent)
        for result in results
    ]
    return [
        {"name": f"{service}-{hashlib.sha256(path.encode()).hexdigest()[:10]}", "path": path}
        for path in dict.fromkeys(paths)
    ]


class FilterModule:
    def filters(self):
        return {"volume_folders": volume_folders}
