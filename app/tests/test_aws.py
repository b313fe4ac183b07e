"""What the environment says of S3, and what S3's errors mean."""

import os
import re
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from facefleet import aws
from facefleet.errors import FacefleetError, SettingsError

BUCKETS = ("plain-bucket", "with.dots.in-it")
KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))


# -- where a PUT goes --------------------------------------------------------------------------


def botos_own(client, bucket: str) -> tuple[str, str]:
    """Address and region of a signed PutObject as boto3 would send it."""
    sent: list[tuple[str, str]] = []

    def stop(request, **_: object) -> AWSResponse:
        scope = request.headers["Authorization"].decode().split("Credential=")[1].split("/")
        sent.append((request.url, scope[2]))
        answer = AWSResponse(request.url, 200, {}, None)
        answer._content = b""
        return answer

    client.meta.events.register("before-send.s3.PutObject", stop)
    client.put_object(Bucket=bucket, Key="a/b.jpg", Body=b"face")
    (found,) = sent
    return found


def regions() -> list[str]:
    session = boto3.Session()
    return sorted(
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions(
            "s3", partition_name=partition, allow_non_regional=True
        )
    )


def hold(session: boto3.Session, **more: object) -> list[str]:
    """The addresses of both kinds of bucket, each held against boto3's own."""
    client = session.client("s3", **KEYS, **more)
    found = []
    for bucket in BUCKETS:
        address, region = aws.put_place(session, bucket, **more)
        assert (address + "a/b.jpg", region) == botos_own(client, bucket), (more, bucket)
        found.append(address)
    return found


def test_in_every_region_of_every_partition_a_put_goes_where_botos_goes() -> None:
    session = aws.session()
    found = {region: hold(session, region_name=region) for region in regions()}
    assert len(found) > 35
    assert found["eu-south-1"] == [
        "https://plain-bucket.s3.eu-south-1.amazonaws.com/",
        "https://s3.eu-south-1.amazonaws.com/with.dots.in-it/",
    ]
    assert found["cn-north-1"][0] == "https://plain-bucket.s3.cn-north-1.amazonaws.com.cn/"
    assert found["us-gov-west-1"][0] == "https://plain-bucket.s3.us-gov-west-1.amazonaws.com/"


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "https://plain-bucket.s3.amazonaws.com/"),
        ({"AWS_REGION": "us-east-1"}, "https://plain-bucket.s3.amazonaws.com/"),
        (
            {"AWS_REGION": "us-east-1", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"},
            "https://plain-bucket.s3.us-east-1.amazonaws.com/",
        ),
        ({"AWS_DEFAULT_REGION": "sa-east-1"}, "https://plain-bucket.s3.sa-east-1.amazonaws.com/"),
        (
            {"AWS_REGION": "eu-central-2", "AWS_DEFAULT_REGION": "sa-east-1"},
            "https://plain-bucket.s3.eu-central-2.amazonaws.com/",
        ),
        (
            {"AWS_REGION": "us-west-2", "AWS_USE_FIPS_ENDPOINT": "true"},
            "https://plain-bucket.s3-fips.us-west-2.amazonaws.com/",
        ),
        (
            {"AWS_REGION": "us-west-2", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "https://plain-bucket.s3.dualstack.us-west-2.amazonaws.com/",
        ),
        (
            {"AWS_REGION": "us-west-2", "addressing_style": "path"},
            "https://s3.us-west-2.amazonaws.com/plain-bucket/",
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}, "http://127.0.0.1:9000/plain-bucket/"),
        ({"AWS_ENDPOINT_URL": "http://[::1]:9000/"}, "http://[::1]:9000/plain-bucket/"),
        (
            {"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_S3": "https://s3.example.com"},
            "https://s3.example.com/plain-bucket/",
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "https://s3.example.com", "addressing_style": "virtual"},
            "https://plain-bucket.s3.example.com/",
        ),
        ({"endpoint_url": "http://127.0.0.1:9001"}, "http://127.0.0.1:9001/plain-bucket/"),
    ],
)
def test_settings_of_the_environment_and_the_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], address: str
) -> None:
    """Names in capitals are variables, the others lines of the profile."""
    lines = ["[default]"]
    for name, value in variables.items():
        if name.isupper():
            monkeypatch.setenv(name, value)
        elif name == "endpoint_url":
            lines.append(f"{name} = {value}")
        else:
            lines += ["s3 =", f"  {name} = {value}"]
    (tmp_path / "AWS_CONFIG_FILE").write_text("\n".join(lines))
    assert hold(aws.session())[0] == address


# -- what cannot be used -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AWS_PROFILE": "flet"}, r"\(The config profile \(flet\) could not be found\)"),
        ({"AWS_REGION": "eu central"}, r"'eu central' doesn't match a supported format"),
        ({"AWS_CONFIG_FILE": "broken"}, r"\(Unable to parse config file: "),
        ({"AWS_RETRY_MODE": "wild"}, r"Invalid value provided to \"mode\": \"wild\""),
        ({"AWS_CA_BUNDLE": "/not/there.pem"}, r"^AWS_CA_BUNDLE: there is no file /not/there.pem"),
        ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, r"^AWS_ENDPOINT_URL: give an address"),
        ({"AWS_ENDPOINT_URL_S3": "http://"}, r"^AWS_ENDPOINT_URL_S3: give an address"),
        ({"endpoint_url": "127.0.0.1:9000"}, r"Invalid endpoint: 127.0.0.1:9000"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    (tmp_path / "broken").write_text("[[default\n=")
    profile = tmp_path / "profile"
    for name, value in variables.items():
        if name.isupper():
            monkeypatch.setenv(name, str(tmp_path / value) if value == "broken" else value)
        else:
            profile.write_text(f"[default]\n{name} = {value}\n")
            monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    for use in (aws.s3_client, lambda: aws.put_place(aws.session(), "plain-bucket")):
        with pytest.raises(SettingsError, match=sentence) as told:
            use()
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        ("", "none are set and the machine has no instance profile"),
        ("credential_process = false\n", "Error when retrieving credentials from custom-process"),
        ("credential_process = echo hello\n", "Error when retrieving credentials from "),
        ("role_arn = arn:aws:iam::1:role/r\nsource_profile = no\n", 'source_profile "no"'),
        ("aws_access_key_id = a\n", "Partial credentials found"),
    ],
)
def test_credentials_that_cannot_be_had_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str, sentence: str
) -> None:
    (tmp_path / "AWS_CONFIG_FILE").write_text(f"[default]\n{profile}")
    with pytest.raises(FacefleetError) as told:
        aws.credentials(aws.session())
    assert str(told.value).startswith("there are no AWS credentials (")
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)


# -- a proxy of the shell ----------------------------------------------------------------------


@pytest.mark.parametrize("known", ["", "intranet.example.com, 10.0.0.1", "*"])
def test_a_proxy_is_not_for_this_machine(monkeypatch: pytest.MonkeyPatch, known: str) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    monkeypatch.setenv("NO_PROXY", known)
    aws.session()
    for host in ("127.0.0.1:9000", "localhost:9000", "[::1]:9000"):
        assert urllib.request.proxy_bypass(host), host
    assert bool(urllib.request.proxy_bypass("s3.example.com:80")) == (known == "*")
    assert not known.strip("*") or urllib.request.proxy_bypass("intranet.example.com:80")


# -- what an error means -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "AccessDenied", "denies access: allow s3:PutObject for these credentials"),
        (403, None, "denies access: allow s3:PutObject"),
        (401, None, "denies access: allow s3:PutObject"),
        (403, "InvalidAccessKeyId", "refuses an unknown access key: correct AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "refuses the signature: correct AWS_SECRET_ACCESS_KEY"),
        (400, "ExpiredToken", "refuses expired credentials: renew them"),
        (400, "InvalidToken", "refuses the session token: correct or unset AWS_SESSION_TOKEN"),
        (403, "RequestTimeTooSkewed", "rejects requests signed with a wrong time: set the clock"),
        (403, "AllAccessDisabled", "is disabled by its provider"),
        (403, "QuotaExceeded", "is full: raise its quota or free space"),
        (507, "XMinioStorageFull", "is full: raise its quota or free space"),
        (507, None, "is full: raise its quota or free space"),
        (400, "KMS.DisabledException", "cannot use its KMS key: enable the key"),
        (404, "NoSuchBucket", "does not exist: create it"),
        (404, None, "does not respond like S3: check that AWS_ENDPOINT_URL"),
        (405, "MethodNotAllowed", "does not allow this request: check that AWS_ENDPOINT_URL"),
        (409, "ConditionalRequestConflict", "has a conflicting request in progress"),
        (503, "SlowDown", "receives too many requests"),
        (429, None, "receives too many requests"),
        (301, "PermanentRedirect", "is in another region: set AWS_REGION to its region"),
        (307, "TemporaryRedirect", "is in another region: set AWS_REGION to its region"),
        (400, "AuthorizationHeaderMalformed", "is in another region"),
        (400, "IllegalLocationConstraintException", "is in another region"),
        (302, None, "redirects requests: check that AWS_ENDPOINT_URL"),
        (500, "InternalError", "responds with 500 InternalError"),
        (503, None, "responds with 503"),
        (400, "Odd\x1b[2J", "responds with 400 Odd?[2J"),
    ],
)
def test_the_advice_goes_by_the_code(status: int, code: str | None, sentence: str) -> None:
    assert aws.advice(status, code).startswith(sentence)


def test_a_clock_is_told_by_how_much() -> None:
    told = aws.advice(403, "RequestTimeTooSkewed", date="Thu, 01 Jan 2026 00:00:00 GMT")
    assert "s ahead of S3): set the clock" in told


@pytest.mark.parametrize(
    ("meta", "code", "sentence"),
    [
        (
            {"HTTPStatusCode": 301, "HTTPHeaders": {"x-amz-bucket-region": "eu-south-1"}},
            "PermanentRedirect",
            r"^is in eu-south-1: set AWS_REGION=eu-south-1 ",
        ),
        ({"HTTPStatusCode": 403}, "403", r"^denies access: allow s3:ListBucket "),
        ({}, "NoSuchBucket", r"^does not exist: create it "),
    ],
)
def test_botos_errors_have_the_same_sentences(meta: dict, code: str, sentence: str) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": meta}
    assert re.match(sentence, aws.problem(ClientError(answer, "ListObjectsV2"), "s3:ListBucket"))
