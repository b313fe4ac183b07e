"""Checks of a service on its host: which process uses its port, and whether it is ready."""

import contextlib
import json
import os
import pathlib
import socket
import urllib.error
import urllib.parse
import urllib.request


class ServiceError(Exception):
    """The service cannot be started; the message says why."""


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def listener_pid(port):
    """Return the id of the process on a port; 0 if of another user; None if the port is free."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in pathlib.Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for handle in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(handle) in inodes:  # noqa: PTH115 - JetPack 5 has Python 3.8
                        return int(process.name)
    return 0


def command_line(pid):
    """Return a process's command and arguments; empty if it has ended."""
    with contextlib.suppress(OSError):
        text = pathlib.Path("/proc", str(pid), "cmdline").read_bytes()
        return text.replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def lineage(pid):
    """Return a process and its ancestors, up to the first."""
    while pid > 0:
        yield pid
        stat = ""
        with contextlib.suppress(OSError):
            stat = pathlib.Path("/proc", str(pid), "stat").read_text(errors="replace")
        pid = int(stat.rpartition(")")[2].split()[1]) if stat else 0


def port_in_use_message(port, pid, port_variable):
    """Return the sentence for a port that process `pid` uses."""
    who = f"process {pid} ({command_line(pid)})" if pid else "a process of another user"
    return f"Port {port} is in use by {who}: end it, or set {port_variable} to another port."


def readiness_problem(address):
    """Return None if the service at an http or tcp address is ready, else a sentence."""
    url = urllib.parse.urlsplit(address)
    try:
        if url.scheme == "tcp":
            socket.create_connection((url.hostname, url.port), timeout=2).close()
        else:
            DIRECT.open(address, timeout=5).close()
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace").strip()
        with contextlib.suppress(ValueError, KeyError, AttributeError):
            unmet = json.loads(body)["unmet"]
            return "; ".join(f"{condition}: {problem}" for condition, problem in unmet.items())
        return f"{address} answers {error.code} {body}"
    except OSError as error:
        return f"{address} does not answer ({getattr(error, 'reason', error)})"
    return None
