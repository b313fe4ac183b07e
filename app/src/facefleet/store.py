"""The door to S3: create-only PUTs by obstore, everything else by boto3."""

import os
import re
import threading
from datetime import timedelta
from typing import Any

import boto3
import obstore
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from facefleet.errors import FacefleetError, SettingsError

# obstore's runtime has work for one thread: more only wake each other.
os.environ.setdefault("TOKIO_WORKER_THREADS", "1")

TIMEOUT = timedelta(seconds=30)  # of one PUT
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_NEVER = {"EntityTooLarge", "InvalidURI", "KeyTooLongError", "MetadataTooLarge"}


class UnavailableError(FacefleetError):
    """The bucket cannot take anything now: hold what there is and try again later."""


class RefusedError(FacefleetError):
    """The bucket will never take this object; others it may."""


class Store:
    """Writes objects into one bucket; never overwrites one. For several threads at once.

    Endpoint, region and credentials come from AWS's own variables or the instance profile.
    """

    def __init__(self, bucket: str) -> None:
        """Raises SettingsError for an endpoint that is not an address."""
        self._bucket = bucket
        self._endpoint = _endpoint()
        self._store: S3Store | None = None
        self._opening = threading.Lock()

    def _open(self) -> S3Store:
        """The store, made when first there are credentials: a profile may come after the boot."""
        if self._store is None:
            try:
                credentials = Boto3CredentialProvider()
            except (ValueError, BotoCoreError) as error:
                raise UnavailableError(
                    f"there are no AWS credentials ({error}): give the machine an instance "
                    "profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ) from error
            self._store = S3Store(
                self._bucket,
                endpoint=self._endpoint,
                client_options={
                    "allow_http": bool(self._endpoint and self._endpoint.startswith("http://")),
                    "timeout": TIMEOUT,
                },
                retry_config={"max_retries": 0},  # the caller retries, and its readiness says so
                credential_provider=credentials,
            )
        return self._store

    def create(self, key: str, data: bytes, attributes: dict[str, str]) -> bool:
        """PUT with If-None-Match: True where it was stored, False where it was there already.

        `attributes`: Content-Type, and any other name as user metadata (ASCII).
        Raises UnavailableError or RefusedError.
        """
        with self._opening:
            store = self._open()
        try:
            obstore.put(store, key, data, mode="create", attributes=attributes, use_multipart=False)
        except (BaseError, OSError, ValueError) as error:
            return self._judge(error)
        return True

    def _judge(self, error: Exception) -> bool:
        text = str(error)
        status = int(found[1]) if (found := _STATUS.search(text)) else None
        code = found[1] if (found := _CODE.search(text)) else None
        if isinstance(error, AlreadyExistsError) and status == 412:
            return False
        if status == 413 or code in _NEVER or isinstance(error, ValueError):
            raise RefusedError(code or text.splitlines()[0]) from error
        raise UnavailableError(self._sentence(status, code, text)) from error

    def _sentence(self, status: int | None, code: str | None, text: str) -> str:
        match status:
            case 404:
                return f"bucket {self._bucket} does not exist: make it (site.yml does)"
            case 401 | 403:
                reason = code or "access denied"
                return f"bucket {self._bucket} refuses ({reason}): check the role's policy"
            case 409:
                return f"bucket {self._bucket} has a conflict still in progress"
            case None:
                return f"S3 cannot be reached: {text.splitlines()[0]}"
        return f"S3 answers {status} {code or ''}".rstrip()


def _endpoint() -> str | None:
    """The S3 to use instead of AWS's own, from AWS's variables."""
    text = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if text and not re.fullmatch(r"https?://[^\s/?#@]+/?", text):
        raise SettingsError("AWS_ENDPOINT_URL: give an address such as http://127.0.0.1:9000")
    return text or None


def s3_client(read_timeout: int = 20, attempts: int = 3) -> Any:
    """boto3's S3 client. Timeout in seconds: an outage is told, not waited for."""
    return boto3.client(
        "s3",
        config=Config(
            connect_timeout=2,
            read_timeout=read_timeout,
            retries={"total_max_attempts": attempts},
            max_pool_connections=64,
        ),
    )
