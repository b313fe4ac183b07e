"""What the environment says of S3: where it is, who asks, and what each of its errors means.

Region, endpoint, profile, credentials and proxies come from AWS's own variables and files, as
boto3 reads them; whatever is wrong with those becomes one sentence here.
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

ITSELF = "check that AWS_ENDPOINT_URL is the address of S3 itself, not of a page or a proxy"

_FULL = "is full: raise its quota or free space"
_BUSY = "receives too many requests: they are repeated with a growing pause"
_EXPIRED = "refuses expired credentials: renew them (AWS_SESSION_TOKEN and its keys)"
_TOKEN = "refuses the session token: correct or unset AWS_SESSION_TOKEN"
_DISABLED = "is disabled by its provider: ask the provider to enable it"
_ADVICE = {
    "NoSuchBucket": "does not exist: make it (site.yml does), or correct FACEFLEET_BUCKET",
    "InvalidBucketName": "has a name that this S3 does not accept: correct FACEFLEET_BUCKET",
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
    "MethodNotAllowed": f"does not allow this request: {ITSELF}",
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
    """What an S3 error means and what to do, as the rest of a sentence about the bucket.

    `right`: what the request needs; `region`: where S3 says that the bucket is; `date`: the
    answer's own.
    """
    name = " ".join([str(status), *([printable(code)] if code else [])])
    if code in _REGION_CODES or (status in (301, 307) and region):
        place = printable(region or "another region")
        name_of_it = f"={printable(region)}" if region else " to its region"
        return f"is in {place}: set AWS_REGION{name_of_it} ({name})"
    if code == "RequestTimeTooSkewed":
        return f"refuses requests by a wrong clock{_ahead(date)}: set this machine's clock ({name})"
    if code and code.startswith("KMS."):
        return f"cannot use its KMS key: enable the key and allow kms:GenerateDataKey ({name})"
    if code in _ADVICE:
        return f"{_ADVICE[code]} ({name})"
    if 300 <= status < 400:
        return f"redirects requests: {ITSELF} ({name})"
    if status in (401, 403):
        return f"denies access: allow {right} for these credentials ({name})"
    if status == 404:
        return f"does not answer as S3: {ITSELF} ({name})"
    if status == 409:
        return f"has a conflicting request in progress ({name})"
    if status == 429:
        return f"{_BUSY} ({name})"
    if status == 507:
        return f"{_FULL} ({name})"
    return f"answers with {name}"


def _ahead(date: str | None) -> str:
    """By how much this machine's clock differs from S3's, which `date` tells."""
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return ""
    return f" ({abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} S3's)"


def problem(error: BotoCoreError | ClientError, right: str) -> str:
    """The same for an error of boto3's."""
    if isinstance(error, ClientError):
        meta, told = error.response.get("ResponseMetadata", {}), error.response.get("Error", {})
        headers, code = meta.get("HTTPHeaders", {}), told.get("Code")
        return advice(
            meta.get("HTTPStatusCode", 0),
            None if str(code).isdecimal() else code,
            right=right,
            region=headers.get("x-amz-bucket-region") or told.get("Region"),
            date=headers.get("date"),
        )
    return (
        f"cannot be reached ({_line(error)}): check AWS_ENDPOINT_URL, AWS_REGION, the credentials "
        "and the network"
    )


def session() -> boto3.Session:
    """Raises SettingsError for a profile, a file or an endpoint that cannot be used."""
    _spare_loopback()
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        text = os.environ.get(name)
        if text and not re.fullmatch(r"https?://[^\s/?#@]+/?", text):
            raise SettingsError(f"{name}: give an address such as http://127.0.0.1:9000")
    try:
        # Of the two variables of the region boto3 reads AWS_DEFAULT_REGION only.
        found = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    except BotoCoreError as error:
        _refuse(error)
    bundle = ca_bundle(found)
    if not Path(bundle).exists():
        raise SettingsError(f"AWS_CA_BUNDLE: there is no file {bundle}: correct or unset it")
    return found


def s3_client(read_timeout: int = 20, attempts: int = 3) -> Any:
    """boto3's S3 client. Timeout in seconds: an outage is told, not waited for.

    Raises SettingsError for anything in the environment that it cannot be made from.
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
    """Where boto3's own PutObject goes, up to the key, and the region that it is signed for.

    Asked of boto3 for an object "k", and stopped before it is sent: the rules of partitions,
    regions, dots in names, FIPS, dual stack and endpoints are botocore's. A presigned URL follows
    other rules. `more`: what a client is made with; raises SettingsError as `s3_client`.
    """
    found: list[tuple[str, str]] = []

    def stop(request: Any, **_: Any) -> AWSResponse:
        _, scope = request.headers["Authorization"].decode().split("Credential=")
        found.append((request.url.removesuffix("k"), scope.split("/")[2]))
        answer = AWSResponse(request.url, 200, {}, None)
        answer._content = b""
        return answer

    # No keys of anybody's: those may come later than a service starts.
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    try:
        client = of.client("s3", **keys, **more)
        client.meta.events.register("before-send.s3.PutObject", stop)
        client.put_object(Bucket=bucket, Key="k")
    except (BotoCoreError, ClientError, ValueError) as error:
        _refuse(error)
    return found[0]


def ca_bundle(of: boto3.Session) -> str:
    """The file of the authorities that an S3's certificate is held against."""
    return of._session.get_config_variable("ca_bundle") or certifi.where()


def credentials(of: boto3.Session) -> Any:
    """The keys to sign with now. Raises FacefleetError where there are none."""
    try:
        found = of.get_credentials()
        if found is not None:
            return found.get_frozen_credentials()
        problem = "none are set and the machine has no instance profile"
    except (BotoCoreError, ClientError) as error:
        problem = _line(error)
    except ValueError as error:  # a credential_process that gives no JSON
        problem = _line(CredentialRetrievalError(provider="profile", error_msg=error))
    raise FacefleetError(
        f"there are no AWS credentials ({problem}): give the machine an instance "
        "profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def _refuse(error: Exception) -> NoReturn:
    raise SettingsError(
        f"AWS's settings cannot be used ({_line(error)}): correct AWS_PROFILE, AWS_REGION, "
        "AWS_ENDPOINT_URL or the files in ~/.aws"
    ) from error


def _line(error: Exception) -> str:
    return printable(str(error).replace("\n", " ")).rstrip(".")


def _spare_loopback() -> None:
    """A proxy of the shell is not for an S3 on this machine; boto3 and libcurl ask no_proxy."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if known.strip() == "*":
        return
    hosts = [host.strip() for host in known.split(",") if host.strip()]
    os.environ["no_proxy"] = ",".join(dict.fromkeys([*hosts, *LOOPBACK]))
