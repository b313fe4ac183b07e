"""Health of a service (alive, ready) and its metrics, served over HTTP to probes."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from facefleet.errors import FacefleetError
from facefleet.logging import log
from facefleet.settings import host_and_port


class Health:
    """The conditions that a service needs to be ready, and whether its main loop is alive.

    Each condition is unmet, with a sentence that explains the problem, until it is set. The main
    loop calls `beat`: a service whose loop blocks for `patience` seconds is not alive.
    """

    def __init__(self, *conditions: str, service: str = "", patience: float = 60) -> None:
        self.service = service
        self._unmet: dict[str, str] = dict.fromkeys(conditions, "not available yet")
        self._patience = patience
        self._beat = time.monotonic()
        self._lock = threading.Lock()

    def set(self, condition: str, problem: str | None) -> None:
        """Set a condition's problem, or None if the condition is met. Changes are logged."""
        with self._lock:
            before = self._unmet.get(condition)
            if problem is None:
                self._unmet.pop(condition, None)
            else:
                self._unmet[condition] = problem
        if problem != before:
            if problem is None:
                log.info("ready again" if before else "ready", condition=condition)
            else:
                log.warning("not ready", condition=condition, problem=problem)

    def beat(self) -> None:
        """Record that the main loop is running."""
        self._beat = time.monotonic()

    @property
    def alive(self) -> bool:
        return time.monotonic() - self._beat < self._patience

    @property
    def unmet(self) -> dict[str, str]:
        """The unmet conditions, each with a sentence; empty when ready."""
        with self._lock:
            return dict(self._unmet)


def health_response(path: str, health: Health) -> tuple[int, str, bytes] | None:
    """Return status, content type and body of /healthz, /readyz or /metrics; else None."""
    match path:
        case "/healthz":
            return (
                (200, "text/plain", b"alive\n") if health.alive else (503, "text/plain", b"stuck\n")
            )
        case "/readyz":
            unmet = health.unmet
            found = {"service": health.service, "ready": not unmet, "unmet": unmet}
            return (503 if unmet else 200), "application/json", json.dumps(found).encode() + b"\n"
        case "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest()
    return None


def family(host: str) -> socket.AddressFamily:
    """Return AF_INET6 for an IPv6 address, else AF_INET."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextmanager
def explain_listen_errors(address: str) -> Iterator[None]:
    """Raise FacefleetError with a sentence if listening on `address` (host:port) fails."""
    try:
        yield
    except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: no name for DNS
        reason = getattr(error, "strerror", None) or error
        raise FacefleetError(
            f"cannot listen on {address} ({reason}): stop the process that uses the port, "
            "or set FACEFLEET_HTTP to another address"
        ) from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *request: Any) -> None:
        """Ignore clients that closed their connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


def serve_health(
    address: str, health: Health, pages: Mapping[str, Callable[[], bytes]] | None = None
) -> ThreadingHTTPServer:
    """Serve `health` on `address` (host:port) from a daemon thread until `.shutdown()`.

    `pages`: further ones, by path, which return JSON. Raises FacefleetError if the port is in use.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds, for a client that sends nothing

        def do_GET(self) -> None:
            found = health_response(self.path, health)
            if pages and self.path in pages:
                found = 200, "application/json", pages[self.path]()
            status, kind, body = found or (404, "text/plain", b"no such page\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing: probes come every few seconds."""

    host, port = host_and_port(address)
    _Server.address_family = family(host)
    with explain_listen_errors(address):
        server = _Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
