"""The gallery's pages: each is whole HTML that works alone; scripts take the parts they need."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from facefleet import telemetry
from facefleet.names import FaceName
from facefleet.services.gallery.bucket import Bucket, BucketError
from facefleet.services.gallery.listing import Listing, face_of, merge, moment
from facefleet.services.gallery.live import Live
from facefleet.vision.errors import VisionError
from facefleet.vision.faces import read_face

_HERE = Path(__file__).parent
_FACES_A_PAGE = 60
_PING = 15  # seconds: a stream that is silent for longer is cut by some proxies

_pages = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["moment"] = moment
_pages.globals["link"] = lambda **wanted: "/" + ("?" + urlencode(wanted) if wanted else "")


def build(bucket: Bucket, listing: Listing, live: Live, health: telemetry.Health) -> Starlette:
    """The application: the gallery's pages, and /healthz, /readyz and /metrics."""

    def gallery(request: Request) -> Response:
        chosen = _chosen(request)
        before = request.query_params.get("before")
        if before is not None and face_of(before) is None:
            raise HTTPException(404)
        fault, cameras, latest = None, [], []
        try:
            cameras = listing.cameras()
            shown = [camera for camera in cameras if _matches(chosen, *camera)]
            latest = listing.latest(shown, _FACES_A_PAGE, before)
            others = [camera for camera in cameras if camera not in set(shown)]
            heads = listing.latest(others, 1) if before is None else []
        except BucketError as error:
            fault, shown, others, heads = str(error), [], [], []
        keys = merge(latest, _FACES_A_PAGE)
        newest = zip([*shown, *others], [*latest, *heads], strict=False)
        counts = {camera: face_of(found[0]).seq for camera, found in newest if found}
        return _page(
            "gallery.html",
            503 if fault else 200,
            bucket=bucket.name,
            chosen=chosen,
            before=before,
            devices=[(name, list(of)) for name, of in groupby(cameras, lambda c: c.device)],
            counts=counts if before is None else {},
            faces=[face_of(key) for key in keys],
            older=keys[-1] if len(keys) == _FACES_A_PAGE else None,
            fault=fault,
        )

    def face(request: Request) -> Response:
        name, jpeg = _name(request), _read(request)
        try:
            info = read_face(jpeg)
        except VisionError:
            info = None
        return _page("face.html", bucket=bucket.name, face=name, info=info, size=len(jpeg))

    def image(request: Request) -> Response:
        return Response(
            _read(request),
            media_type="image/jpeg",
            headers={
                # An erased face is soon gone from browsers; one without the cookie shows nothing.
                "Cache-Control": "private, max-age=600, immutable",
                "Vary": "Cookie, Authorization",
            },
        )

    def _name(request: Request) -> FaceName:
        name = face_of(request.path_params["key"])
        if name is None:
            raise HTTPException(404)
        return name

    def _read(request: Request) -> bytes:
        content = bucket.read(str(_name(request)))
        if content is None:
            raise HTTPException(404)
        return content

    async def events(request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=headers)
        stream = _stream(live, _chosen(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def operations(request: Request) -> Response:
        health.beat()
        if request.url.path == "/readyz" and not live.watchers:
            await _check()
        status, kind, body = telemetry.answer(request.url.path, health)
        return Response(body, status, {"Content-Type": kind})

    async def _check() -> None:
        try:
            await asyncio.to_thread(bucket.check)
        except BucketError as error:
            health.set("bucket", str(error))
        else:
            health.set("bucket", None)

    def failed(_request: Request, error: Exception) -> Response:
        sentences = {404: "There is no such face or camera here."}
        status = getattr(error, "status_code", 503)
        return _page("error.html", status, sentence=sentences.get(status, str(error)))

    return Starlette(
        routes=[
            Route("/", gallery),
            Route("/face/{key:path}", face),
            Route("/image/{key:path}", image),
            Route("/events", events),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
            *(Route(path, operations) for path in ("/healthz", "/readyz", "/metrics")),
        ],
        exception_handlers={HTTPException: failed, BucketError: failed},
    )


def _page(template: str, status: int = 200, **context: object) -> Response:
    html = _pages.get_template(template).render(context)
    return HTMLResponse(html, status, {"Cache-Control": "no-store"})


def _chosen(request: Request) -> dict[str, str]:
    """The filter: a device, or a device's camera, or everything."""
    wanted = {name: request.query_params.get(name) for name in ("device", "camera")}
    return {name: label for name, label in wanted.items() if label}


def _matches(chosen: dict[str, str], device: str, camera: str) -> bool:
    return chosen.get("device", device) == device and chosen.get("camera", camera) == camera


async def _stream(live: Live, chosen: dict[str, str]) -> AsyncIterator[str]:
    """What `live` says to one watcher, as Server-Sent Events."""
    async for event in live.watch(_PING):
        if event is None:
            yield ": still here\n\n"
        elif event.kind == "fault":
            yield _sse("fault", event.sentence)
        elif event.kind == "refresh":
            yield _sse("refresh", None)
        else:
            faces = [face_of(key) for key in event.keys]
            faces = [face for face in faces if _matches(chosen, face.device, face.camera)]
            if len(faces) > _FACES_A_PAGE:
                yield _sse("refresh", None)
            elif faces:
                yield _sse("faces", _pages.get_template("tiles.html").render(faces=faces))


def _sse(kind: str, data: str | None) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"
