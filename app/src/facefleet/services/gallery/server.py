"""The gallery's HTTP server: the pages behind the guard and the login, until SIGTERM."""

import asyncio
import contextlib
import socket
import warnings
from typing import Any

import uvicorn
from prometheus_client import Counter

from facefleet import aws
from facefleet.bucket import Bucket
from facefleet.health import Health, explain_listen_errors, family
from facefleet.logging import log
from facefleet.runtime import on_shutdown
from facefleet.services.gallery.app import build
from facefleet.services.gallery.cameras import Cameras
from facefleet.services.gallery.guard import Guard
from facefleet.services.gallery.listing import Listing
from facefleet.services.gallery.live import Live
from facefleet.services.gallery.login import BasicAuthMiddleware
from facefleet.services.gallery.recent import Recent
from facefleet.settings import GallerySettings, host_and_port

_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
]


LISTS = Counter("facefleet_gallery_lists", "LIST requests to the bucket, which S3 charges for")


def run(settings: GallerySettings) -> None:
    """Serve the page until SIGTERM. Raises FacefleetError if the port is in use."""
    warnings.filterwarnings("ignore", module="PIL")  # warnings about broken EXIF would accumulate
    listener = _listen(settings.http)
    health = Health("bucket", service="gallery")

    def on_answer(problem: str | None) -> None:
        health.set("bucket", problem)
        live.answered(problem)

    faces = Bucket(_client(), settings.bucket, on_answer=on_answer)
    listing = Listing(faces)
    cameras, recent = Cameras(faces), Recent(listing)
    live = Live(settings, cameras, recent)
    pages = build(faces, listing, cameras, recent, live, health)
    if settings.password:
        pages = BasicAuthMiddleware(pages, settings.password.get_secret_value())
    pages = Guard(pages, (host_and_port(settings.http)[0], *(settings.hosts or ())))
    server = _Server(
        uvicorn.Config(
            pages,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # clients could forge their address
            ws="none",
            headers=_HEADERS,
            lifespan="off",
            timeout_graceful_shutdown=4,
        ),
        live,
        faces,
    )
    on_shutdown(server.stop)
    log.info("serving", http=settings.http, bucket=settings.bucket)
    server.run([listener])
    cameras.close()
    recent.close()


class _Server(uvicorn.Server):
    """A server that receives announcements, and closes event streams before it shuts down."""

    def __init__(self, config: uvicorn.Config, live: Live, faces: Bucket) -> None:
        super().__init__(config)
        self._live, self._faces = live, faces

    def stop(self) -> None:
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        listening = asyncio.create_task(self._live.run(self._faces))
        listening.add_done_callback(lambda _: self.stop())  # only a bug ends it early
        try:
            await super().serve(sockets)
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.close()
        await super().shutdown(sockets)


def _client() -> Any:
    """Create an S3 client with short timeouts, so that pages and a shutdown never wait long."""
    client = aws.s3_client(read_timeout=4, attempts=1)
    client.meta.events.register("before-send.s3.ListObjectsV2", lambda **_: LISTS.inc())
    return client


def _listen(address: str) -> socket.socket:
    host, port = host_and_port(address)
    with explain_listen_errors(address):
        return socket.create_server((host, port), family=family(host))
