"""Write objects to S3: create-only PUTs with libcurl. All other requests use facefleet.aws.

libcurl is used because boto3, obstore and awscrt take more CPU per PUT; see docs/measurements.md.
"""

import hashlib
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal
from urllib.parse import quote

import pycurl
from prometheus_client import Histogram

from facefleet import aws, evidence
from facefleet.aws import s3_client as s3_client  # re-exported for all requests but PUTs
from facefleet.errors import FacefleetError
from facefleet.evidence import Answer, Found
from facefleet.logging import log

TIMEOUT = 30  # seconds per request
FIRST_PAUSE, LAST_PAUSE = 0.5, 5.0  # seconds between attempts while the bucket is unavailable
POLL_INTERVAL = 0.005  # seconds that a new PUT waits at most while others are in flight
MAX_RESPONSE_BYTES = 1 << 20  # a response is a listing of one key, or an error
PROBE = "quarantine/ready"  # written at the start, to learn what this S3 service supports
PUT = Histogram("facefleet_put_seconds", "Time that the bucket takes to answer a PUT")
_NEVER = {"EntityTooLarge", "InvalidURI", "KeyTooLongError", "MetadataTooLarge"}
_READY = b"ready\n"
_RIGHTS = "s3:GetObject or s3:ListBucket"

_Step = Literal["PUT", "HEAD", "LIST"]
"""The request to send next: store the object, or find out whether the bucket has it."""


class UnavailableError(FacefleetError):
    """The bucket cannot store anything for now. Keep the object and try again later."""


class RefusedError(FacefleetError):
    """The bucket will never accept this object, though it may accept others."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that is in the bucket with the given content."""

    new: bool  # it did not exist before
    day: date  # when it was stored (UTC), by the bucket's clock; its lifecycle starts then


class Store:
    """Writes objects to one bucket, never overwrites any, and requires evidence of each.

    One thread drives all connections: libcurl signs, sends and receives without holding the GIL,
    and is woken for several PUTs at once. A thread for each PUT costs twice the CPU.
    Endpoint, region and credentials come from AWS's own variables or the instance profile.

    At the start, the store creates a probe object twice. If the second attempt succeeds, too, this
    S3 service ignores `If-None-Match`: then a HEAD precedes each PUT.
    """

    def __init__(
        self, bucket: str, parallel: int, on_unavailable: Callable[[UnavailableError], None]
    ) -> None:
        """Start the store. Raises SettingsError if the AWS settings are not usable.

        `parallel`: maximum number of concurrent PUTs. `on_unavailable` is called for each failed
        attempt, in the store's thread.
        """
        self._bucket = bucket
        self._parallel = parallel
        self._on_unavailable = on_unavailable
        self._session = aws.session()
        self._ca_bundle = aws.ca_bundle(self._session)
        self._address, self._region = aws.put_place(self._session, bucket)
        self._work: SimpleQueue[_Put] = SimpleQueue()
        self._probe: _Put | None = _Put(
            PROBE, _READY, {"Content-Type": "text/plain"}, hashlib.sha256(_READY).digest()
        )
        self._pausing: list[_Put] = [self._probe]
        self._sent: dict[pycurl.Curl, _Put] = {}
        self._idle: dict[_Step, list[pycurl.Curl]] = {"PUT": [], "HEAD": [], "LIST": []}
        self._conditional = True  # this S3 service supports If-None-Match
        self._checksums = True  # this S3 service accepts checksums and returns them
        self._connections = pycurl.CurlMulti()
        self._connections.setopt(pycurl.M_MAXCONNECTS, parallel)
        self.probed: Future[Stored] = self._probe.done
        """Completes once S3 has stored the probe. Its result has no meaning."""
        self.ended: Future[None] = Future()
        """Fails if an unexpected error ends the store's thread."""
        Thread(target=self._run, name="store", daemon=True).start()

    def create(
        self, key: str, data: bytes, attributes: dict[str, str], digest: bytes | None = None
    ) -> Future[Stored]:
        """Store an object, unless the bucket already has it with this content.

        Retries while the bucket is unavailable. The future fails with RefusedError if the bucket
        rejects the object. `attributes`: Content-Type, and any other name as user metadata (ASCII).
        `digest`: the SHA-256 of `data`, if known already.
        """
        put = _Put(key, data, attributes, digest or hashlib.sha256(data).digest())
        self._work.put(put)
        return put.done

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                if due := self._await_due():
                    self._send(due)
                self._connections.perform()
                self._collect()
        except BaseException as error:
            self.ended.set_exception(error)

    def _await_due(self) -> list["_Put"]:
        """Return the PUTs to send now. Wait if there are none and no response has arrived."""
        busy = len(self._sent) + len(self._pausing)
        room = 0 if self._probe else self._parallel - busy
        new = []
        pause = min((put.due - time.monotonic() for put in self._pausing), default=TIMEOUT)
        pause = max(0.0, pause)
        if room and not self._sent:
            with suppress(Empty):
                new.append(self._work.get(timeout=pause))
        elif not self._sent:
            time.sleep(pause)
        elif not room or self._work.empty():
            self._connections.select(min(pause, POLL_INTERVAL if room else 1.0))
        with suppress(Empty):
            while len(new) < room:
                new.append(self._work.get_nowait())
        now = time.monotonic()
        again = [put for put in self._pausing if put.due <= now]
        self._pausing = [put for put in self._pausing if put.due > now]
        return again + new

    def _send(self, puts: list["_Put"]) -> None:
        try:
            credentials = aws.credentials(self._session)
        except FacefleetError as error:
            for put in puts:
                self._pause(put, UnavailableError(str(error)))
            return
        for put in puts:
            if not self._conditional and put is not self._probe and put.answered is None:
                put.step = "HEAD"
            idle = self._idle[put.step]
            transfer = idle.pop() if idle else self._transfer(put.step)
            headers = self._headers(put) if put.step == "PUT" else []
            if credentials.token:
                headers.append(f"x-amz-security-token: {credentials.token}")
            transfer.setopt(pycurl.URL, self._url(put))
            transfer.setopt(pycurl.HTTPHEADER, headers)
            if put.step == "PUT":
                transfer.setopt(pycurl.POSTFIELDS, put.data)
            transfer.setopt(pycurl.USERNAME, credentials.access_key)
            transfer.setopt(pycurl.PASSWORD, credentials.secret_key)
            transfer.setopt(pycurl.HEADERFUNCTION, put.head.extend)
            transfer.setopt(pycurl.WRITEFUNCTION, put.body.extend)
            self._connections.add_handle(transfer)
            self._sent[transfer] = put

    def _headers(self, put: "_Put") -> list[str]:
        # Without this header libcurl would compute the digest again.
        headers = ["Expect:", f"x-amz-content-sha256: {put.digest.hex()}"]
        if self._conditional:
            headers.append("If-None-Match: *")
        if self._checksums:
            headers.append(f"x-amz-checksum-sha256: {put.checksum}")
        return headers + [
            f"{name if name == 'Content-Type' else f'x-amz-meta-{name}'}: {value}"
            for name, value in put.attributes.items()
        ]

    def _url(self, put: "_Put") -> str:
        if put.step == "LIST":
            key = quote(put.key, safe="")
            return f"{self._address}?list-type=2&max-keys=1&prefix={key}"
        return self._address + quote(put.key)

    def _transfer(self, step: "_Step") -> pycurl.Curl:
        transfer = pycurl.Curl()
        if step == "PUT":
            transfer.setopt(pycurl.CUSTOMREQUEST, "PUT")
        if step == "HEAD":
            transfer.setopt(pycurl.NOBODY, 1)
        else:
            transfer.setopt(pycurl.MAXFILESIZE, MAX_RESPONSE_BYTES)
        transfer.setopt(pycurl.AWS_SIGV4, f"aws:amz:{self._region}:s3")
        transfer.setopt(pycurl.TIMEOUT, TIMEOUT)
        transfer.setopt(pycurl.NOSIGNAL, 1)
        transfer.setopt(pycurl.CAINFO, self._ca_bundle)
        return transfer

    def _collect(self) -> None:
        waiting = True
        while waiting:
            waiting, answered, failed = self._connections.info_read()
            for transfer in answered:
                self._end(transfer)
            for transfer, _, message in failed:
                self._end(transfer, message)

    def _end(self, transfer: pycurl.Curl, failure: str | None = None) -> None:
        put = self._sent.pop(transfer)
        self._connections.remove_handle(transfer)
        self._idle[put.step].append(transfer)
        if put.step == "PUT":
            PUT.observe(transfer.getinfo(pycurl.TOTAL_TIME))
        status = transfer.getinfo(pycurl.RESPONSE_CODE)
        answer = Answer(status, bytes(put.head), bytes(put.body))
        put.head.clear()
        put.body.clear()
        try:
            if failure is not None:
                raise UnavailableError(f"S3 cannot be reached: {failure}")
            outcome = self._classify_response(put, answer)
        except RefusedError as error:
            put.done.set_exception(error)
        except UnavailableError as error:
            self._pause(put, error)
        else:
            if isinstance(outcome, str):
                put.step = outcome
                self._pausing.append(put)  # due immediately
            elif put is self._probe:
                self._learn(put, outcome)
            else:
                put.done.set_result(outcome)

    def _pause(self, put: "_Put", error: UnavailableError) -> None:
        self._on_unavailable(error)
        put.step, put.answered = "PUT", None
        if put is self._probe:
            self._conditional = self._checksums = True
        put.due = time.monotonic() + put.pause
        put.pause = min(2 * put.pause, LAST_PAUSE)
        self._pausing.append(put)

    # -- classifying responses -----------------------------------------------------------------

    def _classify_response(self, put: "_Put", answer: Answer) -> "Stored | _Step":
        """Return the outcome, or the next request. Raises RefusedError or UnavailableError."""
        match put.step:
            case "PUT":
                return self._classify_put(put, answer)
            case "HEAD" if answer.status in (401, 403, 405, 501):
                return "LIST"
            case "HEAD" if answer.status in (200, 404):
                return self._classify_found(put, evidence.by_head(answer), answer)
            case "LIST" if answer.status == 200:
                try:
                    found = evidence.by_listing(answer, put.key)
                except evidence.NoListingError:
                    raise UnavailableError(self._no_s3("a listing", answer)) from None
                return self._classify_found(put, found, answer)
        if answer.status in (401, 403, 429) or answer.status >= 500:
            raise UnavailableError(self._sentence(answer, _RIGHTS))
        raise UnavailableError(self._no_s3(f"a {put.step}", answer))

    def _classify_put(self, put: "_Put", answer: Answer) -> "Stored | _Step":
        if evidence.proves(answer, put.data, put.checksum):
            return Stored(True, answer.day("date"))
        if 200 <= answer.status < 300:
            put.answered = answer
            return "HEAD"
        if answer.status == 412 and self._conditional:
            put.answered = answer
            return Stored(False, answer.day("date")) if put is self._probe else "HEAD"
        if put is self._probe and self._relax(answer):
            return "PUT"
        if put is not self._probe and (answer.status == 413 or answer.code in _NEVER):
            raise RefusedError(answer.code or f"S3 responds with {answer.status}")
        raise UnavailableError(self._sentence(answer, "s3:PutObject"))

    def _classify_found(self, put: "_Put", found: Found | None, answer: Answer) -> "Stored | _Step":
        """Classify `answer`, the response to a HEAD or a listing before or after a PUT."""
        before = put.answered
        if before is None:
            if found is None and answer.status == 200 and put.step == "HEAD":
                raise UnavailableError(self._no_s3("a HEAD", answer))
            if found is None:
                put.answered = answer  # not in the bucket yet: PUT it
                return "PUT"
        created = before is not None and before.status != 412
        if found is None:
            raise UnavailableError(self._no_s3("a PUT", before))
        if found.holds(put.data, before.etag if created else None):
            return Stored(created, found.day)
        if created:
            raise UnavailableError(self._no_s3("a PUT", before))
        raise RefusedError("another object has this name")

    def _relax(self, answer: Answer) -> bool:
        """Drop a feature that S3 may have rejected. Return whether the probe can be repeated."""
        if 400 <= answer.status < 500 and self._checksums:
            self._checksums = False
            return True
        if answer.status == 501 and self._conditional:
            self._conditional = self._checksums = False
            return True
        return False

    def _learn(self, probe: "_Put", outcome: Stored) -> None:
        """Learn from the probe's outcome. Repeat the probe if it has just been created."""
        if outcome.new and self._conditional and not probe.repeated:
            probe.repeated = True
            probe.step, probe.answered, probe.due = "PUT", None, 0.0
            self._pausing.append(probe)
            return
        if outcome.new:
            self._conditional = False
            log.warning(
                "this S3 service ignores If-None-Match: every PUT costs an additional HEAD, and "
                "two processors may overwrite each other's objects",
                bucket=self._bucket,
            )
        self._probe = None
        probe.done.set_result(outcome)

    def _sentence(self, answer: Answer, right: str) -> str:
        problem = aws.advice(
            answer.status,
            answer.code,
            right=right,
            region=answer.region,
            date=answer.header("date"),
        )
        return f"bucket {self._bucket} {problem}"

    def _no_s3(self, request: str, answer: Answer) -> str:
        return (
            f"{self._address} responds to {request} with {answer.status}, but the bucket does not "
            f"have the object: {aws.CHECK_ENDPOINT}"
        )


@dataclass(slots=True, eq=False)
class _Put:
    key: str
    data: bytes
    attributes: dict[str, str]
    digest: bytes  # SHA-256
    done: Future[Stored] = field(default_factory=Future)
    step: _Step = "PUT"
    answered: Answer | None = None  # response to the previous step
    head: bytearray = field(default_factory=bytearray)
    body: bytearray = field(default_factory=bytearray)
    pause: float = FIRST_PAUSE  # seconds until the next attempt
    due: float = 0.0  # monotonic
    repeated: bool = False  # this is the second probe

    @property
    def checksum(self) -> str:
        """Encode the digest as S3 expects it."""
        return b64encode(self.digest).decode()
