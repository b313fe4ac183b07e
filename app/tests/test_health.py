"""Health pages as a probe sees them."""

import http.client
import json
import socket
import struct
import threading

import pytest
from facefleet.health import Health, health_response, serve_health

from support.rig import await_true, free_port, ready, unmet


def test_a_service_is_ready_when_nothing_is_unmet() -> None:
    health = Health("broker", "bucket", service="processor")
    address = f"127.0.0.1:{free_port()}"
    server = serve_health(address, health)
    try:
        assert json.loads(unmet(f"http://{address}")) == {
            "service": "processor",
            "ready": False,
            "unmet": {"broker": "not available yet", "bucket": "not available yet"},
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
    assert health_response("/healthz", Health(patience=60))[0] == 200
    stuck = Health(patience=0)
    assert health_response("/healthz", stuck)[0] == 503


def test_metrics_and_other_pages() -> None:
    address = f"127.0.0.1:{free_port()}"
    server = serve_health(address, Health())
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
    server = serve_health(address, Health())
    try:
        assert ready(f"http://{address}")
    finally:
        server.shutdown()
        server.server_close()


def test_a_client_that_gives_up_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    server = serve_health(f"127.0.0.1:{free_port()}", Health())
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
