"""The gallery's password, as who guesses it and who knows it find it."""

import base64
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from facefleet.services.gallery.login import PAUSE, WAITING

from lab.rig import BUCKET, Rig

PASSWORD = "corréct horse: battery"


@pytest.fixture(scope="module")
def page(moto: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Rig(tmp_path_factory.mktemp("login")) as rig:
        _, url = rig.service(
            "gallery", bucket=BUCKET, password=PASSWORD, AWS_ENDPOINT_URL=moto.endpoint
        )
        yield url


def status(url: str, header: str | None = None) -> int:
    request = urllib.request.Request(url, headers={"Authorization": header} if header else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


PATHS = ["/", "/face/x", "/image/x", "/events", "/static/gallery.css", "/nothing", "//healthz"]


@pytest.mark.parametrize("path", PATHS)
def test_nobody_sees_a_thing_without_it(page: str, path: str) -> None:
    assert status(page + path) == 401


@pytest.mark.parametrize(
    "header",
    [
        *(basic(wrong) for wrong in ("", "wrong", PASSWORD[:-1], PASSWORD + "x", PASSWORD.upper())),
        "Basic",
        "Basic ?",
        "Basic " + base64.b64encode(PASSWORD.encode()).decode()[:-3],
        "Bearer " + PASSWORD.encode().hex(),
    ],
)
def test_a_wrong_one_is_refused(page: str, header: str) -> None:
    assert status(page + "/", header) == 401


def test_who_knows_it_is_let_in_by_any_name(page: str) -> None:
    assert status(page + "/", basic(PASSWORD)) == 200


def test_whoever_asks_how_it_is_needs_none(page: str) -> None:
    assert [status(page + path) for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3


def test_guessing_is_slow_and_knowing_is_not(page: str) -> None:
    guesses = WAITING + 5
    with ThreadPoolExecutor(guesses) as pool:
        started = time.monotonic()
        found = [pool.submit(status, page + "/", basic(f"guess {n}")) for n in range(guesses)]
        assert status(page + "/", basic(PASSWORD)) == 200
        assert time.monotonic() - started < WAITING * PAUSE / 2
        codes = [guess.result() for guess in found]
    assert time.monotonic() - started >= WAITING * PAUSE
    assert sorted(codes) == [401] * WAITING + [429] * 5
