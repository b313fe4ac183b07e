"""The door to S3: create-only PUTs by libcurl, everything else by boto3."""

import os
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import quote

import boto3
import certifi
import pycurl
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError
from prometheus_client import Histogram

from facefleet.errors import FacefleetError, SettingsError

TIMEOUT = 30  # seconds of one PUT
FIRST_PAUSE, LAST_PAUSE = 0.5, 5.0  # seconds between attempts while the bucket is unavailable
LOOK = 0.005  # seconds that a new PUT waits at most while others are on their way
PUT = Histogram("facefleet_put_seconds", "One PUT, as long as the bucket takes to answer")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_NEVER = {"EntityTooLarge", "InvalidURI", "KeyTooLongError", "MetadataTooLarge"}


class UnavailableError(FacefleetError):
    """The bucket cannot take anything now: hold what there is and try again later."""


class RefusedError(FacefleetError):
    """The bucket will never take this object; others it may."""


class Store:
    """Writes objects into one bucket; never overwrites one.

    One thread drives all connections: libcurl signs, sends and receives without Python's lock, and
    is woken for several PUTs at a time. A thread for each costs twice the CPU.
    Endpoint, region and credentials come from AWS's own variables or the instance profile.
    """

    def __init__(
        self, bucket: str, parallel: int, on_unavailable: Callable[[UnavailableError], None]
    ) -> None:
        """At most `parallel` PUTs at a time. Raises SettingsError for a bad endpoint.

        `on_unavailable` is called for each attempt that failed, in the store's thread.
        """
        self._bucket = bucket
        self._parallel = parallel
        self._on_unavailable = on_unavailable
        self._session = _session()
        # Without a signature it needs no credentials: a profile may come after the boot.
        client = self._session.client("s3", config=Config(signature_version=UNSIGNED))
        place = {"Bucket": bucket, "Key": "k"}
        self._address = client.generate_presigned_url("put_object", place).removesuffix("k")
        self._region = client.meta.region_name
        self._work: SimpleQueue[_Put] = SimpleQueue()
        self._pausing: list[_Put] = []
        self._sent: dict[pycurl.Curl, _Put] = {}
        self._idle: list[pycurl.Curl] = []
        self._connections = pycurl.CurlMulti()
        self._connections.setopt(pycurl.M_MAXCONNECTS, parallel)
        self.ended: Future[None] = Future()
        """Of the thread; only an error of its own ends it."""
        Thread(target=self._run, name="store", daemon=True).start()

    def create(self, key: str, data: bytes, attributes: dict[str, str]) -> Future[bool]:
        """PUT with If-None-Match: True where it was stored, False where it was there already.

        It is tried until the bucket is available, or else ends with RefusedError. `attributes`:
        Content-Type, and any other name as user metadata (ASCII).
        """
        put = _Put(key, data, attributes)
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
        """What can be sent now; waits where that is nothing and nothing is answered."""
        room = self._parallel - len(self._sent) - len(self._pausing)
        first = []
        pause = min((put.due - time.monotonic() for put in self._pausing), default=TIMEOUT)
        pause = max(0.0, pause)
        if room and not self._sent:
            with suppress(Empty):
                first.append(self._work.get(timeout=pause))
        elif not self._sent:
            time.sleep(pause)
        elif not room or self._work.empty():
            self._connections.select(min(pause, LOOK if room else 1.0))
        with suppress(Empty):
            while len(first) < room:
                first.append(self._work.get_nowait())
        now = time.monotonic()
        again = [put for put in self._pausing if put.due <= now]
        self._pausing = [put for put in self._pausing if put.due > now]
        return again + first

    def _send(self, puts: list["_Put"]) -> None:
        try:
            credentials = self._credentials()
        except UnavailableError as error:
            for put in puts:
                self._pause(put, error)
            return
        for put in puts:
            transfer = self._idle.pop() if self._idle else self._transfer()
            headers = ["If-None-Match: *", "Expect:"]
            headers += [
                f"{name if name == 'Content-Type' else f'x-amz-meta-{name}'}: {value}"
                for name, value in put.attributes.items()
            ]
            if credentials.token:
                headers.append(f"x-amz-security-token: {credentials.token}")
            transfer.setopt(pycurl.URL, self._address + quote(put.key))
            transfer.setopt(pycurl.HTTPHEADER, headers)
            transfer.setopt(pycurl.POSTFIELDS, put.data)
            transfer.setopt(pycurl.USERNAME, credentials.access_key)
            transfer.setopt(pycurl.PASSWORD, credentials.secret_key)
            transfer.setopt(pycurl.WRITEFUNCTION, put.answer.extend)
            self._connections.add_handle(transfer)
            self._sent[transfer] = put

    def _transfer(self) -> pycurl.Curl:
        transfer = pycurl.Curl()
        transfer.setopt(pycurl.CUSTOMREQUEST, "PUT")
        transfer.setopt(pycurl.AWS_SIGV4, f"aws:amz:{self._region}:s3")
        transfer.setopt(pycurl.TIMEOUT, TIMEOUT)
        transfer.setopt(pycurl.NOSIGNAL, 1)
        transfer.setopt(pycurl.CAINFO, os.environ.get("AWS_CA_BUNDLE") or certifi.where())
        return transfer

    def _credentials(self) -> ReadOnlyCredentials:
        try:
            credentials = self._session.get_credentials()
            if credentials is not None:
                return credentials.get_frozen_credentials()
            problem = "none are set and the machine has no instance profile"
        except BotoCoreError as error:
            problem = str(error)
        raise UnavailableError(
            f"there are no AWS credentials ({problem}): give the machine an instance "
            "profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )

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
        self._idle.append(transfer)
        PUT.observe(transfer.getinfo(pycurl.TOTAL_TIME))
        try:
            status = transfer.getinfo(pycurl.RESPONSE_CODE)
            put.done.set_result(self._judge(failure, status, put.answer.decode(errors="replace")))
        except RefusedError as error:
            put.done.set_exception(error)
        except UnavailableError as error:
            self._pause(put, error)

    def _pause(self, put: "_Put", error: UnavailableError) -> None:
        self._on_unavailable(error)
        put.answer.clear()
        put.due = time.monotonic() + put.pause
        put.pause = min(2 * put.pause, LAST_PAUSE)
        self._pausing.append(put)

    def _judge(self, failure: str | None, status: int, answer: str) -> bool:
        if failure is not None:
            raise UnavailableError(f"S3 cannot be reached: {failure}")
        if 200 <= status < 300:
            return True
        if status == 412:
            return False
        code = found[1] if (found := _CODE.search(answer)) else None
        if status == 413 or code in _NEVER:
            raise RefusedError(code or f"S3 answers {status}")
        raise UnavailableError(self._sentence(status, code))

    def _sentence(self, status: int, code: str | None) -> str:
        match status:
            case 301:
                return f"bucket {self._bucket} is not in {self._region}: set AWS_REGION to its own"
            case 404:
                return f"bucket {self._bucket} does not exist: make it (site.yml does)"
            case 401 | 403:
                reason = code or "access denied"
                return f"bucket {self._bucket} refuses ({reason}): check the role's policy"
            case 409:
                return f"bucket {self._bucket} has a conflict still in progress"
        return f"S3 answers {status} {code or ''}".rstrip()


@dataclass(slots=True)
class _Put:
    key: str
    data: bytes
    attributes: dict[str, str]
    done: Future[bool] = field(default_factory=Future)
    answer: bytearray = field(default_factory=bytearray)
    pause: float = FIRST_PAUSE  # seconds, the next one
    due: float = 0.0  # monotonic


def _session() -> boto3.Session:
    """boto3 reads AWS_DEFAULT_REGION only. Raises SettingsError for a bad endpoint."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        text = os.environ.get(name)
        if text and not re.fullmatch(r"https?://[^\s/?#@]+/?", text):
            raise SettingsError(f"{name}: give an address such as http://127.0.0.1:9000")
    return boto3.Session(region_name=os.environ.get("AWS_REGION"))


def s3_client(read_timeout: int = 20, attempts: int = 3) -> Any:
    """boto3's S3 client. Timeout in seconds: an outage is told, not waited for."""
    return _session().client(
        "s3",
        config=Config(
            connect_timeout=2,
            read_timeout=read_timeout,
            retries={"total_max_attempts": attempts},
            max_pool_connections=64,
        ),
    )
