"""The door to S3: create-only PUTs by obstore, everything else by boto3."""

import os
import re
from datetime import timedelta

import boto3
import obstore
from botocore.config import Config
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from facefleet.errors import FacefleetError

TIMEOUT = timedelta(seconds=30)  # of one PUT
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_NEVER = {"EntityTooLarge", "InvalidURI", "KeyTooLongError", "MetadataTooLarge"}


class UnavailableError(FacefleetError):
    """The bucket cannot take anything now: hold what there is and try again later."""


class RefusedError(FacefleetError):
    """The bucket will never take this object; others it may."""


class Store:
    """Writes objects into one bucket; never overwrites one.

    Endpoint, region and credentials come from AWS's own variables or the instance profile.
    """

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self._store = S3Store(
            bucket,
            endpoint=endpoint,
            client_options={
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
                "timeout": TIMEOUT,
            },
            retry_config={"max_retries": 0},  # the caller retries, and says so in its readiness
            credential_provider=Boto3CredentialProvider(),
        )

    async def create(self, key: str, data: bytes, attributes: dict[str, str]) -> bool:
        """PUT with If-None-Match: True where it was stored, False where it was there already.

        `attributes`: Content-Type, and any other name as user metadata (ASCII).
        Raises UnavailableError or RefusedError.
        """
        try:
            await obstore.put_async(
                self._store, key, data, mode="create", attributes=attributes, use_multipart=False
            )
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


def s3_client():
    """boto3's S3 client, with short waits: an outage is told, not waited for."""
    return boto3.client(
        "s3", config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 3})
    )
