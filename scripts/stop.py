#!/usr/bin/env python3
"""Stop all processes of a local fleet: `stop.py [STATE_DIR]`.

A supervisord and all its processes have SUPERVISED_BY_FACEFLEET=<its directory> in their
environment. This identifies them even after the supervisord was killed, and excludes those of other
checkouts. Requires only Python, not `.venv`.
"""

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

MARKER = b"SUPERVISED_BY_FACEFLEET="
STATE_DIR = Path(__file__).resolve().parent.parent / ".facefleet"
STOP_TIMEOUT = 20  # seconds; a supervisord gives each of its services 10


def supervised(state_dir: Path) -> dict[int, Path]:
    """Return the supervisord's directory by process id, for all processes under `state_dir`."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:  # the process has ended, or belongs to another user
            continue
        for variable in environment:
            directory = Path(os.fsdecode(variable.removeprefix(MARKER)))
            if variable.startswith(MARKER) and directory.is_relative_to(state_dir):
                found[int(process.name)] = directory
    found.pop(os.getpid(), None)
    return found


def parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def send(number: signal.Signals, pids: set[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait(state_dir: Path, seconds: float) -> dict[int, Path]:
    """Wait up to `seconds` for all processes to end. Return those that are left."""
    deadline = time.monotonic() + seconds
    while (left := supervised(state_dir)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def remove_sockets(state_dir: Path) -> None:
    """Remove the socket folders that a killed supervisord left outside of its directory."""
    for config in [*state_dir.glob("supervisord.conf"), *state_dir.glob("*/supervisord.conf")]:
        address = re.search(r"^serverurl = unix://(.+)$", config.read_text(), re.MULTILINE)
        if address:
            shutil.rmtree(Path(address[1]).parent, ignore_errors=True)


def main() -> str:
    """Stop all processes. Return a summary, or exit with the processes that did not stop."""
    state_dir = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else STATE_DIR
    found = supervised(state_dir)
    if not found:
        remove_sockets(state_dir)
        return "Nothing of this fleet was running."
    # A supervisord stops its services in order. Only orphaned services are stopped directly.
    send(signal.SIGTERM, {pid for pid in found if parent(pid) not in found})
    if left := wait(state_dir, STOP_TIMEOUT):
        send(signal.SIGKILL, set(left))
        left = wait(state_dir, STOP_TIMEOUT)
    if left:
        sys.exit(
            f"Could not stop the processes {', '.join(map(str, sorted(left)))}: end them by hand."
        )
    remove_sockets(state_dir)
    hosts = ", ".join(sorted({directory.name for directory in found.values()}))
    return f"Stopped {len(found)} process{'es' * (len(found) > 1)} of {hosts}."


if __name__ == "__main__":
    print(main())
