"""The host's devices, by their names alone: none is opened."""

import os
import stat
from pathlib import Path

DEV = Path("/dev")
LINKS = 8  # followed at most


def problem(path: Path, dev: Path) -> str | None:
    """Why the host's `path`, such as /dev/video0, is no device to hand out; None where it is one.

    `dev` is where the host's /dev is to be seen. Links are followed as the host does, whose /dev/x
    is not the /dev/x of a container.
    """
    node = path
    for _ in range(LINKS):
        if not node.is_relative_to(DEV):
            return f"{path} leads to {node}, which is no device: correct the camera's source"
        seen = dev / node.relative_to(DEV)
        try:
            mode = seen.lstat().st_mode
        except OSError:
            missing = "not there" if node == path else f"not there (it is a link to {node})"
            return f"{path} is {missing}: plug it in, or correct the camera's source"
        if not stat.S_ISLNK(mode):
            if stat.S_ISCHR(mode):
                return None
            return f"{path} is no character device: correct the camera's source"
        node = Path(os.path.normpath(node.parent / seen.readlink()))
    return f"{path} is a link that leads nowhere: correct the camera's source"
