"""What the manifests of a service are made of."""

import hashlib
from pathlib import PurePosixPath


def volume_folders(results, service):
    """`{name, path}` of each folder of the host that a service reads.

    `results`: those of `ansible.builtin.stat` in a loop over paths. A file names its folder: only
    a folder can be a volume. What is not there yet is taken for a folder.
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
