"""The gallery: the page a person opens to see the faces in the bucket."""

import socket
import warnings

import uvicorn

from facefleet import telemetry
from facefleet.errors import FacefleetError
from facefleet.services.gallery import bucket
from facefleet.services.gallery.app import build
from facefleet.services.gallery.guard import Guard
from facefleet.services.gallery.listing import Listing
from facefleet.services.gallery.live import Live
from facefleet.services.gallery.login import Login
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


def run(settings: GallerySettings) -> None:
    """Serve the page until SIGTERM. Raises FacefleetError where the port is taken."""
    warnings.filterwarnings("ignore", module="PIL")  # each tells of a broken EXIF, and is kept
    listener = _listen(settings.http)
    faces = bucket.Bucket(bucket.connect(), settings.bucket)
    listing = Listing(faces)
    health = telemetry.Health("bucket")
    live = Live(listing, health)
    pages = build(faces, listing, live, health)
    if settings.password:
        pages = Login(pages, settings.password.get_secret_value())
    pages = Guard(pages, (settings.http.rpartition(":")[0], *(settings.hosts or ())))
    server = _Server(
        uvicorn.Config(
            pages,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # a client's own word for its address
            ws="none",
            headers=_HEADERS,
            lifespan="off",
            timeout_graceful_shutdown=4,
        ),
        live,
    )
    telemetry.on_terminate(server.stop)
    telemetry.log.info("serving", http=settings.http, bucket=settings.bucket)
    server.run([listener])
    listing.close()


class _Server(uvicorn.Server):
    """Ends the streams of those who watch before it waits for their connections to close."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    def stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.close()
        await super().shutdown(sockets)


def _listen(address: str) -> socket.socket:
    host, port = host_and_port(address)
    try:
        return socket.create_server((host, port), family=telemetry.family(host))
    except (OSError, OverflowError) as error:
        raise FacefleetError(
            f"cannot listen on {address} ({error}): end what holds the port, "
            "or choose another by FACEFLEET_HTTP"
        ) from error
