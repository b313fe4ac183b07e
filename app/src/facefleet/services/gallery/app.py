"""The gallery's pages. Each is complete HTML that works without scripts, which reuse its parts."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from facefleet.bucket import Bucket, BucketError, Object
from facefleet.exif import NotAJpegError, read_exif
from facefleet.health import Health, health_response
from facefleet.protocol import FaceName, is_label
from facefleet.services.gallery.cameras import Cameras
from facefleet.services.gallery.listing import (
    FACES_PER_PAGE,
    Camera,
    Face,
    Listing,
    face_of,
    is_future,
    merge,
)
from facefleet.services.gallery.live import Event, Live
from facefleet.services.gallery.nav import Nav, choose
from facefleet.services.gallery.recent import Recent

_HERE = Path(__file__).parent
_PING = 15  # seconds; some proxies close a stream that is silent for longer
_CHECK_INTERVAL = 60.0  # minimum seconds between requests to the bucket for readiness probes
_CHECK_INTERVAL_FAILED = 5.0  # the same while the bucket fails

_pages = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _link(path: str = "/", **wanted: object) -> str:
    return path + ("?" + urlencode(wanted) if wanted else "")


def _off_by(face: Face) -> str:
    """Format the difference between a face's capture time and the time it was stored."""
    apart = abs(face.ahead)
    if apart.days:
        return f"{apart.days:,} d"
    return f"{apart.seconds // 3600} h" if apart.seconds >= 3600 else f"{apart.seconds // 60} min"


_pages.globals["link"] = _link
_pages.filters["off_by"] = _off_by


def build(
    bucket: Bucket,
    listing: Listing,
    cameras: Cameras,
    recent: Recent,
    live: Live,
    health: Health,
) -> Starlette:
    """Build the application: the gallery's pages, and /healthz, /readyz and /metrics."""
    pages = _Pages(bucket, listing, cameras, recent, live)
    operations = _Operations(bucket, health).answer
    return Starlette(
        routes=[
            Route("/", pages.gallery),
            Route("/clock", pages.clock),
            Route("/face/{key:path}", pages.face),
            Route("/image/{key:path}", pages.image),
            Route("/events", pages.events),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
            *(Route(path, operations) for path in ("/healthz", "/readyz", "/metrics")),
        ],
        exception_handlers={HTTPException: _refused, BucketError: _failed},
    )


class _Pages:
    """The pages for people."""

    def __init__(
        self, bucket: Bucket, listing: Listing, cameras: Cameras, recent: Recent, live: Live
    ) -> None:
        self._bucket, self._listing = bucket, listing
        self._cameras, self._recent, self._live = cameras, recent, live

    def gallery(self, request: Request) -> Response:
        """Show the newest faces, or those before the face with the key `before`."""
        chosen = _chosen(request)
        page = _page_number(request)
        before = request.query_params.get("before")
        if before is not None and face_of(before) is None:
            raise HTTPException(404)
        mark = self._live.mark  # taken first, so that faces stored meanwhile are announced
        fault, nav, looks = None, Nav([], []), []
        try:
            nav = choose(self._cameras, chosen, page)
            looks = self._recent.looks(nav.shown, before)
        except BucketError as error:
            fault = _sentence(str(error))
        faces, has_older = merge(looks)
        return _page(
            "gallery.html",
            503 if fault else 200,
            bucket=self._bucket.name,
            chosen=chosen,
            before=before,
            nav=nav,
            mark=mark,
            counts={look.camera: look.faces[0].name.seq for look in looks if look.faces},
            faces=faces,
            older=faces[-1].key if faces and has_older and nav.is_whole else None,
            clocks=[] if before else [face for look in looks if (face := look.off)],
            fault=fault,
        )

    def clock(self, request: Request) -> Response:
        """Show the faces of one camera whose capture time cannot be correct."""
        chosen = _chosen(request)
        after = request.query_params.get("after")
        if len(chosen) < 2 or (after is not None and face_of(after) is None):
            raise HTTPException(404)
        camera = Camera(chosen["device"], chosen["camera"])
        faces = list(self._listing.apart(camera, after))
        return _page(
            "clock.html",
            bucket=self._bucket.name,
            chosen=chosen,
            after=after,
            faces=faces,
            later=faces[-1].key if len(faces) >= FACES_PER_PAGE else None,
        )

    def face(self, request: Request) -> Response:
        """Show one face and its EXIF."""
        name, found = _name(request), self._read(request)
        try:
            info = read_exif(found.content)
        except NotAJpegError:
            info = None
        return _page(
            "face.html",
            bucket=self._bucket.name,
            face=Face(name, found.stored),
            info=info,
            size=len(found.content),
        )

    def image(self, request: Request) -> Response:
        """Return the JPEG of one face."""
        return Response(
            self._read(request).content,
            media_type="image/jpeg",
            headers={
                # Browsers soon drop an erased face, and do not reuse images without the cookie.
                "Cache-Control": "private, max-age=600, immutable",
                "Vary": "Cookie, Authorization",
            },
        )

    async def events(self, request: Request) -> Response:
        """Stream new faces as they are stored, as Server-Sent Events."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=headers)
        # A browser that reconnects sends the id of the last event it received.
        mark = request.headers.get("last-event-id") or request.query_params.get("mark", "")
        stream = _stream(self._live, _chosen(request), mark)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    def _read(self, request: Request) -> Object:
        name = _name(request)
        found = self._bucket.read(str(name))
        if found is None:
            self._recent.forget(Camera(name.device, name.camera))  # the face was erased or expired
            raise HTTPException(404)
        return found


class _Operations:
    """The endpoints for probes and Prometheus."""

    def __init__(self, bucket: Bucket, health: Health) -> None:
        self._bucket, self._health = bucket, health
        self._checking = asyncio.Lock()

    async def answer(self, request: Request) -> Response:
        self._health.beat()
        if request.url.path == "/readyz":
            await self._check()
        status, kind, body = health_response(request.url.path, self._health)
        return Response(body, status, {"Content-Type": kind})

    async def _check(self) -> None:
        """Check the bucket, unless it was used recently: readiness probes are frequent."""
        async with self._checking:
            failed = "bucket" in self._health.unmet
            interval = _CHECK_INTERVAL_FAILED if failed else _CHECK_INTERVAL
            if self._bucket.asked and time.monotonic() - self._bucket.asked < interval:
                return
            with contextlib.suppress(BucketError):  # the bucket has already updated `health`
                await asyncio.to_thread(self._bucket.check)


def _refused(_request: Request, error: HTTPException) -> Response:
    sentences = {404: "This face or camera does not exist."}
    sentence = sentences.get(error.status_code, str(error))
    return _page("error.html", error.status_code, sentence=sentence)


def _failed(_request: Request, error: BucketError) -> Response:
    return _page("error.html", 503, sentence=_sentence(str(error)))


def _sentence(problem: str) -> str:
    return f"{problem[0].upper()}{problem[1:]}."


def _name(request: Request) -> FaceName:
    name = face_of(request.path_params["key"])
    if name is None:
        raise HTTPException(404)
    return name


def _page(template: str, status: int = 200, **context: object) -> Response:
    html = _pages.get_template(template).render(context)
    return HTMLResponse(html, status, {"Cache-Control": "no-store"})


def _chosen(request: Request) -> dict[str, str]:
    """Parse the filter: a device, a device's camera, or nothing."""
    wanted = {name: request.query_params.get(name) for name in ("device", "camera")}
    chosen = {name: label for name, label in wanted.items() if label}
    if not all(map(is_label, chosen.values())) or chosen.keys() == {"camera"}:
        raise HTTPException(404)
    return chosen


def _page_number(request: Request) -> int:
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 6):
        raise HTTPException(404)
    return int(text)


def _matches(chosen: dict[str, str], camera: Camera) -> bool:
    device, name = camera
    return chosen.get("device", device) == device and chosen.get("camera", name) == name


async def _stream(live: Live, chosen: dict[str, str], mark: str) -> AsyncIterator[str]:
    """Format the events of `live` as Server-Sent Events for one client."""
    async for event in live.watch(_PING, mark):
        yield ": ping\n\n" if event is None else _sse(event, chosen)


def _sse(event: Event, chosen: dict[str, str]) -> str:
    data: object = _sentence(event.sentence) if event.kind == "fault" else event.sentence
    if event.kind == "faces":
        faces = [face for face in event.faces if _matches(chosen, face.camera)]
        past = [face for face in faces if not is_future(face)]
        off = {face.camera: face for face in faces if face.is_off or is_future(face)}
        data = {
            "tiles": _pages.get_template("tiles.html").render(faces=past),
            "clocks": _pages.get_template("clocks.html").render(clocks=off.values()),
            "more": event.more,
        }
    name = f"id: {event.mark}\n" if event.mark else ""
    return f"{name}event: {event.kind}\ndata: {json.dumps(data)}\n\n"
