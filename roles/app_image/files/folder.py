"""A run's folder on the controller: it ends with the run, however that ends.

`folder.py make BASE` makes one, removes those of runs that have ended, and prints its path and then
those of the runs that go on beside it. Hosts have a folder of the same name; nothing there tells
whether the run still goes on, so they are told these names.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path


def ours() -> str:
    """How the names of this controller's folders, and of this user's, begin."""
    who = f"{platform.node()} {uuid.getnode()} {os.getuid()}"
    return f"facefleet-{hashlib.sha256(who.encode()).hexdigest()[:8]}-"


def is_ansible(process: int) -> bool:
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[:2]
    except OSError:
        return False
    return any(Path(os.fsdecode(word)).name.startswith("ansible") for word in words)


def run() -> int:
    """The process of the run: the outermost one of Ansible's above this one."""
    found = process = os.getpid()
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        if is_ansible(process):
            found = process
    return found


def make(base: Path) -> list[Path]:
    folders = {
        folder: int(folder.name.split("-")[2])
        for folder in base.glob(f"{ours()}*-*")
        if folder.stat().st_uid == os.getuid()
    }
    for folder, process in folders.items():
        if not is_ansible(process):
            shutil.rmtree(folder, ignore_errors=True)
    process = run()
    made = Path(tempfile.mkdtemp(prefix=f"{ours()}{process}-", dir=base))
    subprocess.Popen(
        [sys.executable, __file__, "remove", made, str(process)],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return [made, *(folder for folder in folders if folder.exists())]


def remove(folder: Path, process: int) -> None:
    """Wait until the run has ended, by Ctrl-C too; then nothing of it is left here."""
    while folder.exists() and is_ansible(process):
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    command, path, *arguments = sys.argv[1:]
    if command == "make":
        print(*make(Path(path)), sep="\n")
    else:
        remove(Path(path), int(arguments[0]))
