"""The gallery's password, as who guesses it and who knows it find it."""

import base64
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from threading import Event
from types import SimpleNamespace

import pytest
from facefleet.services.gallery.login import ATTEMPT_INTERVAL, COOKIE, MAX_QUEUED

from support.rig import BUCKET, Rig

PASSWORD = "corréct horse: battery"


@pytest.fixture(scope="module")
def page(moto: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Rig(tmp_path_factory.mktemp("login")) as rig:
        _, url = rig.service(
            "gallery", bucket=BUCKET, password=PASSWORD, AWS_ENDPOINT_URL=moto.endpoint
        )
        yield url.removeprefix("http://")


def ask(
    page: str, path: str = "/", method: str = "GET", source: str = "127.0.0.1", **headers: str
) -> HTTPResponse:
    connection = HTTPConnection(page, timeout=60, source_address=(source, 0))
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer
    finally:
        connection.close()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def session(page: str) -> str:
    """The cookie of one who has logged in, as a browser sends it back."""
    answer = ask(page, Authorization=basic(PASSWORD))
    assert answer.status == 200
    return answer.headers["Set-Cookie"].partition(";")[0]


class Guesser:
    """Guesses in many connections, as fast as it gets answers, until it is stopped."""

    def __init__(self, page: str, source: str, connections: int = 16) -> None:
        self._page, self._source = page, source
        self._stopped = Event()
        self._numbers = count()
        self._pool = ThreadPoolExecutor(connections)
        self._workers = [self._pool.submit(self._guess) for _ in range(connections)]
        self.began = time.monotonic()

    def __enter__(self) -> "Guesser":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pool.shutdown()

    @property
    def answers(self) -> Counter[int]:
        """How often each status has come, once it has been stopped."""
        return sum((worker.result() for worker in self._workers), Counter())

    def _guess(self) -> Counter[int]:
        answers = Counter()
        while not self._stopped.is_set():
            # One in four is right: the limit is on tries, not on wrong ones.
            number = next(self._numbers)
            guess = PASSWORD if number % 4 == 3 else f"guess {number}"
            # Who guesses says that each guess comes from somebody else.
            forwarded = {"X-Forwarded-For": f"192.0.2.{number % 250}"}
            answer = ask(self._page, source=self._source, Authorization=basic(guess), **forwarded)
            answers[answer.status] += 1
        return answers


PATHS = ["/", "/face/x", "/image/x", "/events", "/static/gallery.css", "/nothing", "//healthz"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", PATHS)
def test_nobody_sees_a_thing_without_it(page: str, path: str, method: str) -> None:
    assert ask(page, path, method).status == 401


@pytest.mark.parametrize(
    "header",
    [
        *(basic(wrong) for wrong in ("", PASSWORD[:-1], PASSWORD.upper())),
        "Basic",
        "Basic ?",
        "Basic \xe9",
        "Basic " + base64.b64encode(PASSWORD.encode()).decode()[:-3],
        "Bearer " + PASSWORD.encode().hex(),
    ],
)
def test_a_wrong_one_is_refused(page: str, header: str) -> None:
    answer = ask(page, Authorization=header)
    assert answer.status == 401
    assert answer.headers["Set-Cookie"] is None


def test_who_knows_it_is_let_in_by_any_name_and_remembered(page: str) -> None:
    answer = ask(page, Authorization=basic(PASSWORD))
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} < set(cookie.split("; "))
    began = time.monotonic()
    known = {"Cookie": cookie.partition(";")[0]}
    assert [ask(page, **known).status for _ in range(20)] == [200] * 20
    assert time.monotonic() - began < 15 * ATTEMPT_INTERVAL


def test_a_cookie_is_not_made_up(page: str) -> None:
    name, _, token = session(page).partition("=")
    until, _, digest = token.partition(".")
    later = str(int(until) + 1)
    for forged in ("", ".", "x", until, f"{until}.", f"{later}.{digest}", f"{until}.{'0' * 64}"):
        assert ask(page, Cookie=f"{name}={forged}").status == 401, forged
    assert name == COOKIE


def test_whoever_asks_how_it_is_needs_none(page: str) -> None:
    assert [ask(page, path).status for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3


def test_tries_are_limited_whether_right_or_wrong(page: str) -> None:
    known = {"Cookie": session(page)}
    with Guesser(page, "127.0.0.1") as guesser:
        took = []
        for _ in range(3):
            began = time.monotonic()
            assert ask(page, **known).status == 200
            took.append(time.monotonic() - began)
            time.sleep(ATTEMPT_INTERVAL)
    assert min(took) < ATTEMPT_INTERVAL  # who is known does not wait
    tries = guesser.answers[401] + guesser.answers[200]
    assert guesser.answers[429] > 10 * tries
    assert 1 <= tries <= (time.monotonic() - guesser.began) / ATTEMPT_INTERVAL + 1
    # Nobody is shut out for what went before.
    began = time.monotonic()
    assert ask(page, Authorization=basic(PASSWORD)).status == 200
    assert time.monotonic() - began < (1 + MAX_QUEUED) * ATTEMPT_INTERVAL


def test_each_address_has_its_turn_and_all_share_the_limit(page: str) -> None:
    began = time.monotonic()
    with Guesser(page, "127.0.0.2") as one, Guesser(page, "127.0.0.3") as other:
        assert ask(page, Authorization=basic(PASSWORD)).status == 200
        assert time.monotonic() - began < (2 + MAX_QUEUED) * ATTEMPT_INTERVAL
    answers = one.answers + other.answers
    assert answers[401] + answers[200] <= (time.monotonic() - began) / ATTEMPT_INTERVAL + 1
