"""Real processes on loopback: brokers, S3, and the app's services, each on a free port."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import boto3
from botocore.config import Config

from support.s3 import Control

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
_PATH = f"{ROOT}:{ROOT / 'tests'}"  # of Python, for benchmarks and support
BUCKET = "faces-under-test"
AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_true(what: Callable[[], object], because: str, seconds: float = 60) -> None:
    """Poll until `what()` is true. Raises TimeoutError that says `because`."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {because}")
        time.sleep(0.02)


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def peak(pid: int) -> int:
    """The most memory that a process has had so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) << 10


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """A child process that can be killed, frozen and started again with the same command."""

    def __init__(
        self, name: str, command: list[str], folder: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self._command = command
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("FACEFLEET_", "AWS_"))},
            **(environment or {}),
        }
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen | None = None

    def start(self) -> "Process":
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait()

    def stop(self, seconds: float = 10) -> int:
        """SIGTERM, then SIGKILL after `seconds`. Returns the exit code."""
        if self.running():
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    def peak(self) -> int:
        """The most memory that it has had so far, in bytes."""
        return peak(self.pid)

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        return cpu(self.pid)


class Rig:
    """A folder, and the processes that were started in it; a context manager that ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[Process] = []

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.stop(seconds=6)

    def _start(self, process: Process) -> Process:
        self.processes.append(process)
        return process.start()

    def mosquitto(self, name: str, port: int | None = None, more: str = "") -> tuple[Process, int]:
        """A Mosquitto without persistence; `more` goes into its file. Returns it and its port."""
        port = port or free_port()
        config = self.folder / f"{name}.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            "user root\nset_tcp_nodelay true\nmax_inflight_messages 0\n"
            f"max_queued_messages 4000\n{more}"
        )
        broker = self._start(
            Process(name, [self.program("mosquitto"), "-c", str(config)], self.folder)
        )
        await_true(lambda: listens(port), f"{name} listens")
        return broker, port

    def program(self, name: str) -> str:
        """Path of a program of the system."""
        path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if path is None:
            raise RuntimeError(f"{name} is missing: install it (apt-get install {name})")
        return path

    def amqtt(self, name: str, port: int | None = None) -> tuple[Process, int]:
        """The embedded broker. Returns it and its port."""
        port = port or free_port()
        config = self.folder / f"{name}.yaml"
        config.write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n"
            "    allow_anonymous: true\n"
        )
        broker = self._start(Process(name, [str(BIN / "amqtt"), "-c", str(config)], self.folder))
        await_true(lambda: listens(port), f"{name} listens")
        return broker, port

    def moto(self, port: int | None = None, **environment: str) -> tuple[Process, str]:
        """moto's S3 with the bucket made. Returns it and its endpoint."""
        port = port or free_port()
        command = [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
        server = self._start(Process("s3", command, self.folder, environment))
        await_true(lambda: listens(port), "S3 listens")
        endpoint = f"http://127.0.0.1:{port}"
        s3(endpoint).create_bucket(Bucket=BUCKET)
        return server, endpoint

    def s3(self) -> tuple[Control, str]:
        """An S3 server that fails as told, with the bucket. Returns its control and endpoint."""
        port = free_port()
        self.module("support.s3", "--port", port, "--bucket", BUCKET)
        await_true(lambda: listens(port), "S3 listens")
        endpoint = f"http://127.0.0.1:{port}"
        return Control(endpoint), endpoint

    def module(self, name: str, *arguments: object, **environment: str) -> Process:
        """`python -m NAME ...` of support or benchmarks."""
        command = [sys.executable, "-m", name, *map(str, arguments)]
        environment["PYTHONPATH"] = _PATH
        return self._start(Process(name, command, self.folder, environment))

    def sink(self, seconds: float = 0, port: int | None = None) -> tuple[Process, str]:
        """A fast S3 that forgets what it is given (support.sink). Returns it and its endpoint."""
        port = port or free_port()
        command = [sys.executable, "-m", "support.sink", str(port), "--seconds", str(seconds)]
        sink = self._start(Process("sink", command, self.folder, {"PYTHONPATH": _PATH}))
        await_true(lambda: listens(port), "the sink listens")
        return sink, f"http://127.0.0.1:{port}"

    def service(
        self, name: str, *, instance: str = "", wait: bool = True, **settings: object
    ) -> tuple[Process, str]:
        """`facefleet NAME` with FACEFLEET_* settings; AWS's go by their own names.

        Returns it and the URL of its health pages; `wait`: until it is ready.
        """
        address = str(settings.pop("http", f"127.0.0.1:{free_port()}"))
        environment = {
            key if key.startswith("AWS_") else f"FACEFLEET_{key.upper()}": str(value)
            for key, value in settings.items()
        }
        environment["FACEFLEET_HTTP"] = address
        if "AWS_ENDPOINT_URL" in environment:
            environment = {**AWS, **environment}
        command = [str(BIN / "facefleet"), name]
        process = self._start(Process(name + instance, command, self.folder, environment))
        url = f"http://{address}"
        if wait:
            await_true(
                lambda: ready(url) or not process.running(),
                f"{process.name} is ready; {process.log.read_text()[-2000:]}",
            )
        return process, url


def ready(url: str) -> bool:
    """Whether /readyz says so."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=20) as answer:
            return answer.status == 200
    except OSError:
        return False


def unmet(url: str) -> str:
    """What /readyz says, as text; empty where nothing answers."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=20) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""


def s3(endpoint: str):
    """boto3's S3 client for the rig's own server."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=AWS["AWS_REGION"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 5}),
    )


def keys(endpoint: str, prefix: str = "faces/") -> list[str]:
    """All keys of the bucket under a prefix."""
    pages = s3(endpoint).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def contents(endpoint: str, prefix: str = "faces/") -> list[str]:
    """The MD5 of each of the bucket's objects under a prefix."""
    pages = s3(endpoint).get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["ETag"].strip('"') for page in pages for entry in page.get("Contents", ())]
