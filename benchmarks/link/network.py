"""Network namespaces and TUN devices. Requires root."""

import ctypes
import fcntl
import os
import stat
import struct
import subprocess
import tempfile
from pathlib import Path

_NEWNET = 0x40000000  # CLONE_NEWNET of <sched.h>
_TUN = Path("/dev/net/tun")
_TUN_NUMBER = os.makedev(10, 200)
_SET_INTERFACE = 0x400454CA  # TUNSETIFF of <linux/if_tun.h>
_IP_PACKETS = 0x1001  # IFF_TUN | IFF_NO_PI
CONGESTION_CONTROL = "cubic"  # of TCP at both ends: the default of Linux
_libc = ctypes.CDLL(None, use_errno=True)


def new_network() -> None:
    """Move this thread, and the processes that it starts, into a network namespace of its own."""
    _check(_libc.unshare(_NEWNET), "create a network namespace")
    _ip("link", "set", "lo", "up")


def enter_network(pid: int) -> None:
    """Move this thread, and the processes that it starts, into the namespace of a process."""
    with Path(f"/proc/{pid}/ns/net").open() as namespace:
        _check(_libc.setns(namespace.fileno(), _NEWNET), "enter a network namespace")


def open_tun(name: str, address: str, peer: str) -> int:
    """Create a TUN device, from which the packets to `peer` are read. Return its descriptor."""
    device = _open_device()
    fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), _IP_PACKETS))
    _ip("address", "add", address, "dev", name)
    _ip("link", "set", name, "up")
    _ip("route", "add", peer, "dev", name, "congctl", CONGESTION_CONTROL)
    return device


def _open_device() -> int:
    if _TUN.exists():
        return os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    with tempfile.TemporaryDirectory() as folder:  # a container without the device's file
        path = Path(folder, "tun")
        os.mknod(path, stat.S_IFCHR | 0o600, _TUN_NUMBER)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"cannot {what} ({os.strerror(ctypes.get_errno())})")
