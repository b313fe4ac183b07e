"""Access to S3 as the environment configures it, and a sentence for each of its errors.

boto3 reads the region, endpoint, profile, credentials and proxies from AWS's own variables and
files. This module reports any problem with them in one sentence.
"""

import os
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NoReturn

import boto3
import certifi
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from facefleet.errors import FacefleetError, SettingsError, printable

LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")

CHECK_ENDPOINT = "check that AWS_ENDPOINT_URL is the address of S3, not of a web page or a proxy"

_FULL = "is full: raise its quota or free space"
_BUSY = "receives too many requests: they are retried with increasing back-off"
_EXPIRED = "refuses expired credentials: renew them (AWS_SESSION_TOKEN and its keys)"
_TOKEN = "refuses the session token: correct or unset AWS_SESSION_TOKEN"
_DISABLED = "is disabled by its provider: ask the provider to enable it"
_ADVICE = {
    "NoSuchBucket": "does not exist: create it (site.yml does), or correct FACEFLEET_BUCKET",
    "InvalidBucketName": "has a name that S3 does not accept: correct FACEFLEET_BUCKET",
    "InvalidAccessKeyId": "refuses an unknown access key: correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "refuses the signature: correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "InvalidToken": _TOKEN,
    "InvalidClientTokenId": _TOKEN,
    "AllAccessDisabled": _DISABLED,
    "AccountProblem": _DISABLED,
    "NotSignedUp": "belongs to an account without S3: sign the account up for it",
    "MethodNotAllowed": f"does not allow this request: {CHECK_ENDPOINT}",
    "QuotaExceeded": _FULL,
    "QuotaExceededException": _FULL,
    "XMinioStorageFull": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "InsufficientStorage": _FULL,
    "SlowDown": _BUSY,
    "TooManyRequests": _BUSY,
    "TooManyRequestsException": _BUSY,
    "RequestLimitExceeded": _BUSY,
}
_REGION_CODES = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}


def advice(
    status: int,
    code: str | None,
    *,
    right: str = "s3:PutObject",
    region: str | None = None,
    date: str | None = None,
) -> str:
    """Explain an S3 error and what to do, as the predicate of a sentence about the bucket.

    `right`: the permission that the request needs; `region`: the bucket's region according to S3;
    `date`: the Date header of the response.
    """
    name = " ".join([str(status), *([printable(code)] if code else [])])
    if code in _REGION_CODES or (status in (301, 307) and region):
        place = printable(region or "another region")
        value = f"={printable(region)}" if region else " to its region"
        return f"is in {place}: set AWS_REGION{value} ({name})"
    if code == "RequestTimeTooSkewed":
        offset = _clock_offset(date)
        return f"rejects requests signed with a wrong time{offset}: set the clock ({name})"
    if code and code.startswith("KMS."):
        return f"cannot use its KMS key: enable the key and allow kms:GenerateDataKey ({name})"
    if code in _ADVICE:
        return f"{_ADVICE[code]} ({name})"
    if 300 <= status < 400:
        return f"redirects requests: {CHECK_ENDPOINT} ({name})"
    if status in (401, 403):
        return f"denies access: allow {right} for these credentials ({name})"
    if status == 404:
        return f"does not respond like S3: {CHECK_ENDPOINT} ({name})"
    if status == 409:
        return f"has a conflicting request in progress ({name})"
    if status == 429:
        return f"{_BUSY} ({name})"
    if status == 507:
        return f"{_FULL} ({name})"
    return f"responds with {name}"


def _clock_offset(date: str | None) -> str:
    """Describe how far this machine's clock differs from `date`, the time of S3's response."""
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return ""
    return f" ({abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} S3)"


def problem(error: BotoCoreError | ClientError, right: str) -> str:
    """Explain an error that boto3 raised, as `advice` does."""
    if isinstance(error, ClientError):
        meta, details = error.response.get("ResponseMetadata", {}), error.response.get("Error", {})
        headers, code = meta.get("HTTPHeaders", {}), details.get("Code")
        return advice(
            meta.get("HTTPStatusCode", 0),
            None if str(code).isdecimal() else code,
            right=right,
            region=headers.get("x-amz-bucket-region") or details.get("Region"),
            date=headers.get("date"),
        )
    return (
        f"cannot be reached ({_one_line(error)}): check AWS_ENDPOINT_URL, AWS_REGION, credentials "
        "and the network"
    )


def session() -> boto3.Session:
    """Create a boto3 session from the environment.

    Raises SettingsError for a profile, a file or an endpoint that cannot be used.
    """
    _bypass_proxy_on_loopback()
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        text = os.environ.get(name)
        if text and not re.fullmatch(r"https?://[^\s/?#@]+/?", text):
            raise SettingsError(f"{name}: give an address such as http://127.0.0.1:9000")
    try:
        # boto3 itself reads AWS_DEFAULT_REGION, but not AWS_REGION.
        found = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    except BotoCoreError as error:
        _refuse(error)
    bundle = ca_bundle(found)
    if not Path(bundle).exists():
        raise SettingsError(f"AWS_CA_BUNDLE: there is no file {bundle}: correct or unset it")
    return found


def s3_client(read_timeout: int = 20, attempts: int = 3) -> Any:
    """Create boto3's S3 client. `read_timeout` is in seconds and short: outages are reported.

    Raises SettingsError if the environment does not allow creating the client.
    """
    config = Config(
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"total_max_attempts": attempts},
        max_pool_connections=64,
    )
    try:
        return session().client("s3", config=config)
    except (BotoCoreError, ClientError, ValueError) as error:
        _refuse(error)


def put_place(of: boto3.Session, bucket: str, **more: Any) -> tuple[str, str]:
    """Return the URL of boto3's PutObject, up to the key, and the region that it is signed for.

    boto3 prepares a request for an object "k", which is intercepted before it is sent. So botocore
    applies its rules for partitions, regions, dots in names, FIPS, dual stack and endpoints; a
    presigned URL follows other rules. `more`: further arguments of the client. Raises SettingsError
    as `s3_client` does.
    """
    found: list[tuple[str, str]] = []

    def stop(request: Any, **_: Any) -> AWSResponse:
        _, scope = request.headers["Authorization"].decode().split("Credential=")
        found.append((request.url.removesuffix("k"), scope.split("/")[2]))
        answer = AWSResponse(request.url, 200, {}, None)
        answer._content = b""
        return answer

    # Dummy keys: the real ones may become available only after a service has started.
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    try:
        client = of.client("s3", **keys, **more)
        client.meta.events.register("before-send.s3.PutObject", stop)
        client.put_object(Bucket=bucket, Key="k")
    except (BotoCoreError, ClientError, ValueError) as error:
        _refuse(error)
    return found[0]


def ca_bundle(of: boto3.Session) -> str:
    """Return the file of CA certificates that S3's certificate is verified against."""
    return of._session.get_config_variable("ca_bundle") or certifi.where()


def credentials(of: boto3.Session) -> Any:
    """Return the current keys for signing. Raises FacefleetError if there are none."""
    try:
        found = of.get_credentials()
        if found is not None:
            return found.get_frozen_credentials()
        problem = "none are set and the machine has no instance profile"
    except (BotoCoreError, ClientError) as error:
        problem = _one_line(error)
    except ValueError as error:  # a credential_process that does not print JSON
        problem = _one_line(CredentialRetrievalError(provider="profile", error_msg=error))
    raise FacefleetError(
        f"there are no AWS credentials ({problem}): give the machine an instance "
        "profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def _refuse(error: Exception) -> NoReturn:
    raise SettingsError(
        f"the AWS settings are not usable ({_one_line(error)}): correct AWS_PROFILE, AWS_REGION, "
        "AWS_ENDPOINT_URL or the files in ~/.aws"
    ) from error


def _one_line(error: Exception) -> str:
    return printable(str(error).replace("\n", " ")).rstrip(".")


def _bypass_proxy_on_loopback() -> None:
    """Reach an S3 on this machine without the shell's proxy; boto3 and libcurl obey no_proxy."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if known.strip() == "*":
        return
    hosts = [host.strip() for host in known.split(",") if host.strip()]
    os.environ["no_proxy"] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
