"""The command as a person meets it: one sentence, an exit code, no traceback."""

import importlib.metadata
import socket
from pathlib import Path
from pkgutil import iter_modules

import pytest
from facefleet import services

from support.rig import Rig, await_true, free_port, ready, unmet
from support.shell import facefleet, told

SERVICES = [module.name.replace("_", "-") for module in iter_modules(services.__path__)]
DETECTOR = {
    "DEVICE": "edge-1",
    "CAMERA": "front",
    "SOURCE": "sample:astronaut",
    "BROKER": "mqtt://127.0.0.1:1",
}


@pytest.mark.parametrize("service", SERVICES)
def test_without_settings_a_service_says_which(service: str) -> None:
    result = facefleet(service)
    assert result.returncode == 2
    assert "FACEFLEET_HTTP is not set: set it" in told(result)
    assert all(sentence.endswith("is not set: set it") for sentence in told(result))


def test_a_services_help_says_where_its_settings_are_told() -> None:
    said = " ".join(facefleet("device-plugin", "--help").stdout.split())
    assert "Configured by FACEFLEET_* variables: docs/settings.md." in said
    assert (Path(__file__).parents[2] / "docs/settings.md").is_file()


@pytest.mark.parametrize("tool", ["status", "verify"])
def test_without_settings_a_tool_says_which(tool: str) -> None:
    result = facefleet(tool)
    assert result.returncode == 2
    assert all(sentence.endswith("is not set: set it") for sentence in told(result))


def test_a_password_does_not_leave_the_environment() -> None:
    result = facefleet(
        "logger", HTTP="127.0.0.1:1", DEVICE="edge-1", BROKER="mqtt://user:hunter2@h"
    )
    assert result.returncode == 2
    (sentence,) = told(result)
    assert "remove the user and password" in sentence
    assert "hunter2" not in result.stdout + result.stderr


@pytest.mark.parametrize("service", ["logger", "detector"])
def test_a_port_that_is_taken(service: str, tmp_path: Path) -> None:
    settings = {"DEVICE": "edge-1", "BROKER": "mqtt://127.0.0.1:1"}
    if service == "detector":
        settings = {**DETECTOR, "OUTBOX": tmp_path / "outbox.sqlite"}
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        result = facefleet(service, HTTP=f"127.0.0.1:{port}", **settings)
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith(f"cannot listen on 127.0.0.1:{port} (Address already in use): stop")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "a" * 64])
def test_an_address_of_another_machine(host: str) -> None:
    result = facefleet("logger", HTTP=f"{host}:8081", DEVICE="edge-1", BROKER="mqtt://127.0.0.1:1")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith(f"cannot listen on {host}:8081 (")


@pytest.mark.parametrize(
    "broker", ["mqtt://127.0.0.1:1", "mqtt://no.such.host.invalid", "mqtt://a..b"]
)
def test_a_broker_that_is_not_there_is_waited_for(rig: Rig, broker: str) -> None:
    logger, url = rig.service("logger", wait=False, device="edge-1", broker=broker)
    await_true(lambda: "cannot connect to" in unmet(url), "readiness tells it")
    assert "is the broker running?" in unmet(url)
    assert not ready(url)
    assert logger.running()
    assert logger.stop() == 0
    assert "Traceback" not in logger.log.read_text()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "not an address", "http://u:hunter2@h"])
def test_an_endpoint_that_is_not_an_address(endpoint: str) -> None:
    result = facefleet(
        "processor",
        HTTP=f"127.0.0.1:{free_port()}",
        BROKER="mqtt://127.0.0.1:1",
        BUCKET="faces",
        AWS_ENDPOINT_URL=endpoint,
    )
    assert result.returncode == 2
    (sentence,) = told(result)
    assert sentence.startswith("AWS_ENDPOINT_URL")
    assert "hunter2" not in sentence


def test_an_unknown_command() -> None:
    result = facefleet("detect")
    assert result.returncode == 2
    assert "No such command 'detect'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_version() -> None:
    result = facefleet("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"facefleet {importlib.metadata.version('facefleet')}\n"
