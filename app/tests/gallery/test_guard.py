"""Whom the gallery answers: not a name that was pointed at it, not the page of another site."""

import asyncio
from http.client import HTTPConnection

import pytest
from facefleet.services.gallery.guard import Guard
from starlette.responses import PlainTextResponse

PATHS = ["/", "/events", "/image/x", "/static/gallery.css", "/nothing"]
OPERATIONS = ["/healthz", "/readyz", "/metrics"]
GUARD = Guard(PlainTextResponse("here"), ["0.0.0.0", "faces.example"])


def status(*hosts: str, server: str = "192.0.2.7", method: str = "GET", **headers: str) -> int:
    """What the guard answers; headers have underscores for hyphens."""
    pairs = [(b"host", host.encode()) for host in hosts] + [
        (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": pairs,
        "server": (server, 8080),
    }
    sent = []

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(GUARD(scope, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8088", "127.0.0.1", "127.0.0.1:8088", "127.1.2.3", "[::1]:8088"),
        *("192.0.2.7:8080", "[::ffff:192.0.2.7]", "faces.example", "Faces.Example:443"),
    ],
)
def test_it_answers_to_its_own_names(host: str) -> None:
    assert status(host) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8088", "192.0.2.8", "[2001:db8::1]", "localhost.evil"),
        *("faces.example.evil", "evil.localhost", "", ":8088", "localhost@evil.example"),
        *(
            "evil.example@localhost",
            "localhost, evil.example",
            "127.0.0.1.evil",
            "[127.0.0.1",
            "\xe9",
        ),
    ],
)
def test_it_answers_to_no_other_name(host: str) -> None:
    assert status(host) == 421


def test_one_name_is_needed() -> None:
    assert status() == 421
    assert status("localhost", "evil.example") == 421
    assert status("evil.example", "localhost") == 421


def test_an_ipv6_address_that_it_is_reached_at_is_its_own() -> None:
    assert status("[2001:DB8:0::1]:8080", server="2001:db8::1") == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    ],
)
def test_a_page_of_another_site_gets_nothing(headers: dict[str, str]) -> None:
    assert status("localhost:8088", **headers) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:8088"},
        {"sec_fetch_site": "none", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
        {"sec_fetch_site": "same-origin", "sec_fetch_mode": "cors"},
        # A link to a face, in a message.
        {
            "sec_fetch_site": "cross-site",
            "sec_fetch_mode": "navigate",
            "sec_fetch_dest": "document",
        },
    ],
)
def test_its_own_pages_and_links_to_them_are_answered(headers: dict[str, str]) -> None:
    assert status("localhost:8088", **headers) == 200


def test_a_link_does_not_post() -> None:
    leads = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert status("localhost", method="POST", sec_fetch_site="cross-site", **leads) == 403


def ask(gallery, path: str, method: str = "GET", **headers: str) -> int:
    connection = HTTPConnection(gallery.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [*PATHS, *OPERATIONS])
def test_every_path_is_guarded(gallery, path: str, method: str) -> None:
    assert ask(gallery, path, method, Host="evil.example") == 421
    assert ask(gallery, path, method, Origin="http://evil.example") == 403
    assert ask(gallery, path, method) in (200, 404, 405)


def test_an_upgrade_is_no_way_around(gallery) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "c2l4dGVlbiBieXRlcyEh"}
    assert ask(gallery, "/", Host="evil.example", **upgrade, **key) == 421


def test_asking_for_the_head_of_the_stream_ends(gallery) -> None:
    assert ask(gallery, "/events", "HEAD") == 200
