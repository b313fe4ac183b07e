"""Logs, metrics and health: what an operator sees of a service."""

import asyncio
import gc
import json
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from facefleet.errors import FacefleetError
from facefleet.settings import host_and_port

log = structlog.get_logger()


def configure_logging(service: str, level: str) -> None:
    """One JSON object a line on stderr; on a terminal, lines for people."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer()
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=service)


class Health:
    """What a service must have to be ready, each with a sentence while it lacks it.

    A service names itself and its conditions at the start; each is unmet until set. `beat` is
    called by the main loop: a service whose loop stands still for `patience` seconds is not alive.
    """

    def __init__(self, *conditions: str, service: str = "", patience: float = 60) -> None:
        self.service = service
        self._unmet: dict[str, str] = dict.fromkeys(conditions, "not there yet")
        self._patience = patience
        self._beat = time.monotonic()
        self._lock = threading.Lock()

    def set(self, condition: str, problem: str | None) -> None:
        """Say what is wrong with a condition, or None where it is met. Changes are logged."""
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
        self._beat = time.monotonic()

    @property
    def alive(self) -> bool:
        return time.monotonic() - self._beat < self._patience

    @property
    def unmet(self) -> dict[str, str]:
        """Condition to sentence; empty when ready."""
        with self._lock:
            return dict(self._unmet)


def answer(path: str, health: Health) -> tuple[int, str, bytes] | None:
    """Status, content type and body of /healthz, /readyz or /metrics; None for other paths."""
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
    """IPv6's where the host is such an address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *request: Any) -> None:
        """A client that gave up is no fault of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


def serve(address: str, health: Health) -> ThreadingHTTPServer:
    """Answer on `address` (host:port) from a daemon thread until `.shutdown()`.

    Raises FacefleetError where the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds, for a client that says nothing

        def do_GET(self) -> None:
            status, kind, body = answer(self.path, health) or (404, "text/plain", b"no such page\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds: not worth a line."""

    host, port = host_and_port(address)
    _Server.address_family = family(host)
    try:
        server = _Server((host, port), Handler)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name for DNS
        reason = getattr(error, "strerror", None) or error
        raise FacefleetError(
            f"cannot listen on {address} ({reason}): end what holds the port, "
            "or choose another by FACEFLEET_HTTP"
        ) from error
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def on_terminate(stop: Callable[[], None]) -> None:
    """Call `stop` once, from a thread, when SIGTERM or SIGINT has come.

    Not from the signal's handler: it may interrupt whoever holds the lock that `stop` needs.
    """
    came: SimpleQueue[int] = SimpleQueue()  # which is safe in a handler

    def wait() -> None:
        came.get()
        stop()

    threading.Thread(target=wait, name="terminate", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: came.put(number))


def spare_the_collector() -> None:
    """Take what is there at the end of a start out of the garbage collector's rounds.

    It stays for ever, modules above all, and was a fifth of a busy service's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # what is under way is many objects, and no rubbish


async def until_terminated(work: Coroutine, health: Health) -> None:
    """Run `work`, with the loop's heartbeat, until it ends or SIGTERM or SIGINT comes."""
    spare_the_collector()
    loop = asyncio.get_running_loop()
    terminated = asyncio.Event()
    on_terminate(lambda: loop.call_soon_threadsafe(terminated.set))
    tasks = {asyncio.ensure_future(work), asyncio.create_task(terminated.wait())}

    async def beat() -> None:
        while True:
            health.beat()
            await asyncio.sleep(1)

    beating = asyncio.create_task(beat())
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in (*pending, beating):
        task.cancel()
    await asyncio.gather(*pending, beating, return_exceptions=True)
    for task in done:
        task.result()
