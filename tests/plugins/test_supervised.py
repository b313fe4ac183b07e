"""supervisord_program and supervisord_ports on a real supervisord: a port is no identity."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(sys.argv[2]))
        self.end_headers()
        self.wfile.write(sys.argv[3].encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Supervisord:
    """One in a folder, and services that answer with a status and their name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "programs").mkdir()
        (folder / "server.py").write_text(SERVER)
        self.config = folder / "supervisord.conf"
        self.config.write_text(
            "[supervisord]\nnodaemon = true\n"
            f"pidfile = {folder}/pid\nlogfile = {folder}/log\n"
            f"[unix_http_server]\nfile = {folder}/socket\n"
            f"[supervisorctl]\nserverurl = unix://{folder}/socket\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            "[include]\nfiles = programs/*.ini\n"
        )
        self.process = subprocess.Popen(
            [BIN / "supervisord", "-c", self.config],
            env={**os.environ, "SUPERVISED_BY_FACEFLEET": str(folder)},
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while not (folder / "socket").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def bring_up(self, name: str, port: int, status: int = 200, timeout: int = 20) -> dict:
        """The module's result."""
        command = f"{sys.executable} {self.folder}/server.py {port} {status} {name}"
        arguments = {
            "directory": str(self.folder),
            "name": name,
            "program": f"[program:{name}]\ncommand = {command}\nstartsecs = 1\n",
            "files": {},
            "ready_url": f"http://127.0.0.1:{port}/readyz",
            "port_variable": "facefleet_base_port",
            "timeout": timeout,
        }
        return self._run("facefleet.facefleet.supervisord_program", arguments)

    def taken(self, *ports: int) -> list[str]:
        """What is said of ports before anything is changed."""
        named = [{"port": port, "variable": f"port_{port}"} for port in ports]
        found = self._run(
            "facefleet.facefleet.supervisord_ports", {"directory": str(self.folder), "ports": named}
        )
        return found["problems"]

    def _run(self, module: str, arguments: dict) -> dict:
        done = subprocess.run(
            [
                *(BIN / "ansible", "localhost", "--connection=local"),
                *(f"--module-name={module}", f"--args={json.dumps(arguments)}"),
            ],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible/collections"),
                "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
                "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
                "ANSIBLE_LOCAL_TEMP": str(self.folder / "temp"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout.partition(" => ")[2])


def who(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


@pytest.fixture
def supervisord(tmp_path: Path):
    one = Supervisord(tmp_path)
    yield one
    one.process.terminate()
    one.process.wait(30)


def test_a_service_that_takes_a_neighbours_port_is_asked_itself(supervisord: Supervisord) -> None:
    old, new = free_port(), free_port()
    assert supervisord.bring_up("front", old)["changed"]
    # A camera is inserted before the first: each takes the port of the next.
    assert supervisord.bring_up("back", old)["changed"]
    assert who(old) == "back"
    assert supervisord.bring_up("front", new)["changed"]
    assert (who(old), who(new)) == ("back", "front")
    assert not supervisord.bring_up("back", old)["changed"]
    assert not supervisord.bring_up("front", new)["changed"]


def test_a_service_that_is_not_ready_does_not_pass_by_its_neighbour(
    supervisord: Supervisord,
) -> None:
    port = free_port()
    assert supervisord.bring_up("front", port)["changed"]
    result = supervisord.bring_up("wrong", port, status=503, timeout=5)
    assert "wrong is not ready after 5 s" in result["msg"]
    # The one that worked works again.
    deadline = time.monotonic() + 20
    while who(port) != "front":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_only_a_port_that_another_process_holds_is_taken(supervisord: Supervisord) -> None:
    own, free = free_port(), free_port()
    assert supervisord.bring_up("front", own)["changed"]
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (said,) = supervisord.taken(own, free, port)
        assert said.startswith(f"Port {port} is in use by process {os.getpid()} (")
        assert said.endswith(f"end it, or set port_{port} to another port.")
    supervisord.process.terminate()
    supervisord.process.wait(30)
    assert supervisord.taken(own, free, port) == []  # its configuration is there still
