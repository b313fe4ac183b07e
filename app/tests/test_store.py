"""What S3 may answer, and what becomes of it; moto where it can, a server that obeys elsewhere."""

import json
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import boto3
import pytest
from facefleet.errors import SettingsError
from facefleet.store import RefusedError, Store, UnavailableError

from lab.rig import AWS, BUCKET, Rig, free_port, s3

KEY = "faces/edge-1/front/2026/02/28/235959.000001-0123abcd-7-89abcdef.jpg"


class Obedient(ThreadingHTTPServer):
    """Answers every PUT with `status` and an S3 error of `code`."""

    status, code = 200, ""
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Obey)


class _Obey(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        code = self.server.code
        body = f"<Error><Code>{code}</Code><Message>told so</Message></Error>" if code else ""
        self.send_response(self.server.status)
        self.send_header("ETag", '"0"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Obedient]:
    with Obedient() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        use(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Rig(tmp_path_factory.mktemp("store")) as rig:
        yield rig.moto()[1]


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name, value in {**AWS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)


def create(data: bytes = b"a face", bucket: str = BUCKET) -> bool:
    """Raises what the first attempt ends with, though the store would go on."""
    failures: Queue[UnavailableError] = Queue()
    attributes = {"Content-Type": "image/jpeg", "reason": "a test"}
    done = Store(bucket, 4, failures.put).create(KEY, data, attributes)
    done.add_done_callback(lambda _: failures.put(None))
    if (failure := failures.get(timeout=10)) is not None:
        raise failure
    return done.result()


def test_twice_created_is_one_object(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    use(monkeypatch, endpoint)
    assert create(b"first") is True
    assert create(b"second") is False
    found = s3(endpoint).get_object(Bucket=BUCKET, Key=KEY)
    assert found["Body"].read() == b"first"
    assert found["ContentType"] == "image/jpeg"
    assert found["Metadata"] == {"reason": "a test"}


def test_a_bucket_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    use(monkeypatch, endpoint)
    with pytest.raises(UnavailableError, match=r"^bucket no-such does not exist: make it"):
        create(bucket="no-such")


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "AccessDenied", "refuses (AccessDenied): check the role's policy"),
        (403, "InvalidAccessKeyId", "refuses (InvalidAccessKeyId): check the role's policy"),
        (403, "", "refuses (access denied): check the role's policy"),
        (401, "", "refuses (access denied): check the role's policy"),
        (404, "NoSuchBucket", "does not exist: make it"),
        (409, "ConditionalRequestConflict", "has a conflict still in progress"),
        (400, "ExpiredToken", "S3 answers 400 ExpiredToken"),
        (500, "InternalError", "S3 answers 500 InternalError"),
        (503, "SlowDown", "S3 answers 503 SlowDown"),
        (503, "", "S3 answers 503"),
        (301, "PermanentRedirect", "is not in us-east-1: set AWS_REGION to its own"),
    ],
)
def test_not_now(server: Obedient, status: int, code: str, sentence: str) -> None:
    server.status, server.code = status, code
    with pytest.raises(UnavailableError) as told:
        create()
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "code"), [(413, ""), (400, "EntityTooLarge"), (400, "KeyTooLongError")]
)
def test_never(server: Obedient, status: int, code: str) -> None:
    server.status, server.code = status, code
    with pytest.raises(RefusedError) as told:
        create()
    assert code in str(told.value)
    assert "\n" not in str(told.value)


def test_only_412_is_there_already(server: Obedient) -> None:
    server.status, server.code = 412, "PreconditionFailed"
    assert create() is False
    server.status, server.code = 409, "OperationAborted"
    with pytest.raises(UnavailableError):
        create()


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    use(monkeypatch, f"http://{host}:{free_port()}")
    with pytest.raises(UnavailableError, match=r"^S3 cannot be reached: "):
        create()


def test_credentials_may_come_later(
    monkeypatch: pytest.MonkeyPatch, server: Obedient, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    failures: Queue[UnavailableError] = Queue()
    done = Store(BUCKET, 4, failures.put).create(KEY, b"a face", {})
    assert str(failures.get(timeout=10)).startswith("there are no AWS credentials ")
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=a\naws_secret_access_key=b\n"
    )
    assert done.result(10) is True


def test_a_put_is_tried_again_while_others_go_on(server: Obedient) -> None:
    failures: Queue[UnavailableError] = Queue()
    store = Store(BUCKET, 2, failures.put)
    server.status = 503
    one = store.create(KEY, b"a face", {})
    failures.get(timeout=10)
    server.status = 200
    two = store.create(KEY, b"a face", {})
    assert two.result(10) is True
    assert one.result(10) is True
    assert failures.empty()


def test_no_more_puts_than_asked_for_at_a_time(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    _, endpoint = rig.sink(seconds=0.2)
    use(monkeypatch, endpoint)
    store = Store(BUCKET, 5, lambda _: None)
    began = time.monotonic()
    for one in [store.create(str(n), b"a face", {}) for n in range(20)]:
        assert one.result(10)
    assert time.monotonic() - began >= 0.8


def test_the_signature_is_right(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    """As moto computes it, with botocore; the session's token of a role is part of it."""
    _, endpoint = rig.moto()
    use(monkeypatch, endpoint)
    policy = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    iam = boto3.client("iam")
    role = iam.create_role(RoleName="processor", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    iam.put_role_policy(
        RoleName="processor",
        PolicyName="put",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": policy}),
    )
    session = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    ask = urllib.request.Request(
        f"{endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(ask, timeout=5).close()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
    assert create() is True
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(UnavailableError, match="SignatureDoesNotMatch"):
        create()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    with pytest.raises(UnavailableError, match="InvalidAccessKeyId"):
        create()


@pytest.mark.parametrize("address", ["127.0.0.1:9000", "a b", "http://", "ftp://h"])
def test_an_endpoint_that_is_not_an_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    use(monkeypatch, address)
    with pytest.raises(SettingsError, match=r"^AWS_ENDPOINT_URL: give an address"):
        Store(BUCKET, 4, lambda _: None)
