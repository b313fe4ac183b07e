"""Health pages as a probe sees them, and what SIGTERM does."""

import asyncio
import http.client
import json
import os
import signal
import socket
import struct
import threading

import pytest
from facefleet.telemetry import Health, answer, serve, until_terminated

from lab.rig import await_true, free_port, ready, unmet


def test_a_service_is_ready_when_nothing_is_unmet() -> None:
    health = Health("broker", "bucket", service="processor")
    address = f"127.0.0.1:{free_port()}"
    server = serve(address, health)
    try:
        assert json.loads(unmet(f"http://{address}")) == {
            "service": "processor",
            "ready": False,
            "unmet": {"broker": "not there yet", "bucket": "not there yet"},
        }
        health.set("broker", None)
        health.set("bucket", "there is none: make it")
        assert json.loads(unmet(f"http://{address}"))["unmet"] == {
            "bucket": "there is none: make it"
        }
        assert not ready(f"http://{address}")
        health.set("bucket", None)
        assert ready(f"http://{address}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_loop_that_stands_still_is_not_alive() -> None:
    assert answer("/healthz", Health(patience=60))[0] == 200
    stuck = Health(patience=0)
    assert answer("/healthz", stuck)[0] == 503


def test_metrics_and_other_pages() -> None:
    address = f"127.0.0.1:{free_port()}"
    server = serve(address, Health())
    try:
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.status == 200
        assert b"python_info" in response.read()
        connection.request("GET", "/secrets")
        assert connection.getresponse().status == 404
        connection.close()
    finally:
        server.shutdown()
        server.server_close()


def test_pages_are_served_by_ipv6() -> None:
    address = f"[::1]:{free_port()}"
    server = serve(address, Health())
    try:
        assert ready(f"http://{address}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_client_that_gives_up_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    server = serve(f"127.0.0.1:{free_port()}", Health())
    threads = threading.active_count()
    try:
        for _ in range(20):
            client = socket.create_connection(server.server_address)
            client.sendall(b"GET /metrics HTTP/1.1\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # by a reset
        await_true(lambda: threading.active_count() == threads, "all are gone")
    finally:
        server.shutdown()
        server.server_close()
    assert capfd.readouterr().err == ""


@pytest.fixture
def _handlers_as_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers_as_before")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_in_order(number: int) -> None:
    cleaned = []

    async def work() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    asyncio.run(until_terminated(work(), Health()))
    assert cleaned


@pytest.mark.usefixtures("_handlers_as_before")
def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(until_terminated(work(), Health()))


@pytest.mark.usefixtures("_handlers_as_before")
def test_the_loop_beats_while_it_runs() -> None:
    health = Health(patience=0.5)
    await_true(lambda: not health.alive, "it has grown old")

    async def work() -> None:
        await asyncio.sleep(0)  # the first beat
        assert health.alive

    asyncio.run(until_terminated(work(), health))
