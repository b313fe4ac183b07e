"""Check the host's devices without opening them."""

import os
import stat
from pathlib import Path

DEV = Path("/dev")
MAX_LINKS = 8  # symbolic links to follow


def problem(path: Path, dev: Path) -> str | None:
    """Return why the host's `path`, such as /dev/video0, cannot be allocated, or None if it can.

    `dev` is where the host's /dev is mounted. Links are resolved as on the host, whose /dev/x is
    not the /dev/x of this container.
    """
    node = path
    for _ in range(MAX_LINKS):
        if not node.is_relative_to(DEV):
            return f"{path} leads to {node}, which is not a device: correct the camera's source"
        seen = dev / node.relative_to(DEV)
        try:
            mode = seen.lstat().st_mode
        except OSError:
            link = "" if node == path else f" (it is a link to {node})"
            return f"{path} does not exist{link}: plug it in, or correct the camera's source"
        if not stat.S_ISLNK(mode):
            if stat.S_ISCHR(mode):
                return None
            return f"{path} is not a character device: correct the camera's source"
        node = Path(os.path.normpath(node.parent / seen.readlink()))
    return f"{path} is a chain of too many links: correct the camera's source"
