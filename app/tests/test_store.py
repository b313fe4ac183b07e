"""What S3 may answer, and what becomes of it; moto where it can, a server that obeys elsewhere."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import boto3
import pytest
from facefleet.errors import SettingsError
from facefleet.evidence import md5
from facefleet.store import PROBE, RefusedError, Store, UnavailableError

from support.rig import AWS, BUCKET, Rig, free_port, s3

KEY = "faces/edge-1/front/2026/02/28/235959.000001-0123abcd-7-89abcdef.jpg"
FACE = b"a face"
PAGE = b"<html><body>please log in</body></html>"


class Request:
    """What an answer is made for, and by."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method, self.headers = handler.command, handler.headers
        path, _, self.query = handler.path.partition("?")
        self.key = path.removeprefix(f"/{BUCKET}/")
        self.body = handler.rfile.read(int(self.headers.get("Content-Length", 0)))


class Answer:
    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Obedient(ThreadingHTTPServer):
    """An S3 of one face: `answer` says what it answers with, the probe's requests aside."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Obey)
        self.objects: dict[str, bytes] = {}
        self.probed: list[Request] = []
        self.asked: list[Request] = []
        self.answer: Callable[[Request], Answer] = self.store
        self.answer_probe: Callable[[Request], Answer] = self.store

    def store(self, request: Request) -> Answer:
        """As S3 does."""
        held = self.objects.get(request.key)
        if request.method == "PUT" and held is not None and request.headers["If-None-Match"]:
            return error(412, "PreconditionFailed")
        if request.method == "PUT":
            held = self.objects[request.key] = request.body
        if held is None:
            return error(404, "NoSuchKey")
        body = b"" if request.method == "PUT" else held
        return Answer(200, body, ETag=f'"{md5(held)}"')

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.asked]


class _Obey(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        request = Request(self)
        probe = request.key == PROBE
        (self.server.probed if probe else self.server.asked).append(request)
        answer = (self.server.answer_probe if probe else self.server.answer)(request)
        self.send_response(answer.status)
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_PUT  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nothing."""


def error(status: int, code: str, more: str = "", **headers: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>told so</Message>{more}</Error>" if code else ""
    return Answer(status, body.encode(), **headers)


def listing(**entry: object) -> Answer:
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in entry.items())
    contents = f"<Contents>{fields}</Contents>" if entry else ""
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return Answer(200, f'<ListBucketResult xmlns="{space}">{contents}</ListBucketResult>'.encode())


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


def create(data: bytes = FACE, bucket: str = BUCKET) -> bool:
    """Whether it is new. Raises what the first attempt ends with, though the store would go on."""
    failures: Queue[UnavailableError] = Queue()
    attributes = {"Content-Type": "image/jpeg", "reason": "a test"}
    store = Store(bucket, 4, failures.put)
    store.ended.add_done_callback(lambda ended: failures.put(ended.exception()))
    done = store.create(KEY, data, attributes)
    done.add_done_callback(lambda _: failures.put(None))
    if (failure := failures.get(timeout=10)) is not None:
        raise failure
    return done.result().new


def test_twice_created_is_one_object(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    use(monkeypatch, endpoint)
    assert create(b"first") is True
    assert create(b"first") is False
    with pytest.raises(RefusedError, match=r"^another object has this name$"):
        create(b"other")
    found = s3(endpoint).get_object(Bucket=BUCKET, Key=KEY)
    assert found["Body"].read() == b"first"
    assert found["ContentType"] == "image/jpeg"
    assert found["Metadata"] == {"reason": "a test"}


def test_a_bucket_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    use(monkeypatch, endpoint)
    with pytest.raises(UnavailableError, match=r"^bucket no-such does not exist: create it"):
        create(bucket="no-such")


# -- what proves that a face is stored ---------------------------------------------------------

CHECKSUM = "5P7WfSgTIKQs0p3A5UcLGD7hXfJ5jc07sWQ8XH6vCO8="
NO_PROOF = {
    "a login page": Answer(200, PAGE, Content_Type="text/html"),
    "an error in a 200": error(200, "InternalError"),
    "no ETag": Answer(200),
    "another ETag": Answer(200, ETag='"00000000000000000000000000000000"'),
    "another checksum": Answer(200, ETag='"x"', x_amz_checksum_sha256=CHECKSUM),
    "the checksum without an ETag": Answer(200, x_amz_checksum_sha256="echoed"),
    "accepted": Answer(202),
    "no content": Answer(204),
    "a part": Answer(206, b"a"),
    "an ETag with another status": Answer(201, ETag=f'"{md5(FACE)}"'),
    "there already": error(412, "PreconditionFailed"),
}
NOTHING_THERE = {
    "nothing there": error(404, "NoSuchKey"),
    "a page": Answer(200, PAGE, Content_Type="text/html"),
    "a page with an ETag": Answer(200, PAGE, ETag='"5f-1a2"'),
    "the right size without an ETag": Answer(200, FACE),
    "a redirect": Answer(302, Location="/login"),
}


@pytest.mark.parametrize(
    ("told", "there"),
    [
        *((told, "nothing there") for told in NO_PROOF),
        *(("no ETag", there) for there in NOTHING_THERE),
        ("there already", "a page"),
    ],
)
def test_a_status_proves_nothing(server: Obedient, told: str, there: str) -> None:
    put, look = NO_PROOF[told], NOTHING_THERE[there]
    server.answer = lambda request: put if request.method == "PUT" else look
    with pytest.raises(UnavailableError, match="check that AWS_ENDPOINT_URL is the address of S3"):
        create()
    assert server.methods[:2] == ["PUT", "HEAD"]


@pytest.mark.parametrize("told", ["no ETag", "accepted", "there already"])
def test_what_the_bucket_then_has_is_a_proof(server: Obedient, told: str) -> None:
    look = Answer(200, FACE, ETag=f'"{md5(FACE)}"')
    server.answer = lambda request: NO_PROOF[told] if request.method == "PUT" else look
    assert create() is (told != "there already")
    assert server.methods == ["PUT", "HEAD"]


@pytest.mark.parametrize("encryption", ["aws:kms", "aws:kms:dsse"])
def test_where_the_key_is_of_kms_the_checksum_is_the_proof(
    server: Obedient, encryption: str
) -> None:
    """There an ETag says nothing."""

    def answer(request: Request) -> Answer:
        told = request.headers["x-amz-checksum-sha256"]
        return Answer(
            200,
            ETag='"00112233445566778899aabbccddeeff"',
            x_amz_server_side_encryption=encryption,
            x_amz_checksum_sha256=told,
        )

    server.answer = answer
    assert create() is True
    assert server.methods == ["PUT"]


@pytest.mark.parametrize("size", [len(FACE), len(FACE) + 1])
@pytest.mark.parametrize(
    "headers",
    [
        {"x_amz_server_side_encryption": "aws:kms"},
        {"x_amz_server_side_encryption_customer_algorithm": "AES256"},
    ],
)
def test_where_an_etag_says_nothing_the_size_decides(
    server: Obedient, size: int, headers: dict[str, str]
) -> None:
    etag = '"00112233445566778899aabbccddeeff"'
    look = Answer(200, bytes(size), ETag=etag, **headers)
    server.answer = lambda request: (
        error(412, "PreconditionFailed") if request.method == "PUT" else look
    )
    if size == len(FACE):
        assert create() is False
    else:
        with pytest.raises(RefusedError):
            create()


def test_an_object_of_the_same_size_is_not_this_one(server: Obedient) -> None:
    server.objects[KEY] = FACE.upper()
    with pytest.raises(RefusedError, match=r"^another object has this name$"):
        create()


@pytest.mark.parametrize("size", [len(FACE), len(FACE) + 1])
def test_who_may_not_read_is_told_by_a_listing(server: Obedient, size: int) -> None:
    """A processor without a gallery has no s3:GetObject."""

    def answer(request: Request) -> Answer:
        match request.method:
            case "PUT":
                return error(412, "PreconditionFailed")
            case "HEAD":
                return Answer(403)
        assert request.key == ""
        assert f"prefix={KEY.replace('/', '%2F')}" in request.query
        return listing(Key=KEY, Size=size, ETag="&quot;0&quot;")

    server.answer = answer
    if size == len(FACE):
        assert create() is False
    else:
        with pytest.raises(RefusedError):
            create()
    assert server.methods == ["PUT", "HEAD", "GET"]


@pytest.mark.parametrize(
    ("look", "sentence"),
    [
        (listing(), "responds to a PUT with 412"),
        (listing(Key=KEY + "x", Size=6), "responds to a PUT with 412"),
        (Answer(200, PAGE), "responds to a listing with 200"),
        (error(403, "AccessDenied"), "allow s3:GetObject or s3:ListBucket"),
    ],
)
def test_a_listing_without_the_object_proves_nothing(
    server: Obedient, look: Answer, sentence: str
) -> None:
    answers = {"PUT": error(412, "PreconditionFailed"), "HEAD": Answer(403), "GET": look}
    server.answer = lambda request: answers[request.method]
    with pytest.raises(UnavailableError, match=sentence):
        create()


# -- what an S3 can do ---------------------------------------------------------------------


def test_it_learns_first_what_this_s3_can_do(server: Obedient) -> None:
    assert create() is True
    assert [one.method for one in server.probed] == ["PUT", "PUT"]  # the second is refused
    assert server.methods == ["PUT"]
    server.probed.clear()
    assert create() is False
    assert [one.method for one in server.probed] == ["PUT"]


def forgetful(server: Obedient, status: int, header: str) -> Callable[[Request], Answer]:
    """An S3 that does not know a header: it is ignored (200), or refused."""

    def answer(request: Request) -> Answer:
        if status != 200 and request.headers[header]:
            return error(status, "NotImplemented")
        del request.headers[header]
        return server.store(request)

    return answer


@pytest.mark.parametrize("status", [200, 501])
def test_without_conditions_an_object_is_looked_for_first(
    server: Obedient, status: int, capfd: pytest.CaptureFixture
) -> None:
    server.answer = server.answer_probe = forgetful(server, status, "If-None-Match")
    assert create() is True
    assert server.methods == ["HEAD", "PUT"]
    assert create() is False
    assert server.methods == ["HEAD", "PUT", "HEAD"]
    server.objects[KEY] = b"another"
    with pytest.raises(RefusedError):
        create()
    assert server.objects[KEY] == b"another"
    assert "this S3 service ignores If-None-Match" in "".join(capfd.readouterr())


@pytest.mark.parametrize("status", [400, 403, 501])
def test_without_checksums_the_etag_is_the_proof(server: Obedient, status: int) -> None:
    server.answer = server.answer_probe = forgetful(server, status, "x-amz-checksum-sha256")
    assert create() is True
    assert create() is False


def test_an_s3_that_is_down_is_not_one_that_can_do_less(server: Obedient) -> None:
    server.answer_probe = lambda _: error(501, "NotImplemented")
    failures: Queue[UnavailableError] = Queue()
    done = Store(BUCKET, 4, failures.put).create(KEY, FACE, {})
    assert str(failures.get(timeout=10)).endswith("responds with 501 NotImplemented")
    server.answer_probe = server.store
    assert done.result(10).new
    assert server.methods == ["PUT"]
    assert server.asked[0].headers["If-None-Match"] == "*"


# -- what an error means ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (error(403, "AccessDenied"), "denies access: allow s3:PutObject for these credentials"),
        (
            error(403, "RequestTimeTooSkewed", Date="Thu, 01 Jan 2026 00:00:00 GMT"),
            "s ahead of S3): set the clock",
        ),
        (
            error(301, "PermanentRedirect", x_amz_bucket_region="eu-south-1"),
            "is in eu-south-1: set AWS_REGION=eu-south-1",
        ),
        (
            error(400, "AuthorizationHeaderMalformed", "<Region>eu-south-2</Region>"),
            "is in eu-south-2: set AWS_REGION=eu-south-2",
        ),
        (error(400, "KMS.DisabledException"), "cannot use its KMS key: enable the key"),
        (Answer(302, PAGE, Location="http://127.0.0.1:1/login"), "redirects requests: check that"),
        (Answer(304), "redirects requests: check that"),
        (error(503, ""), "responds with 503"),
    ],
)
def test_not_now(server: Obedient, answer: Answer, sentence: str) -> None:
    server.answer = lambda _: answer
    with pytest.raises(UnavailableError) as told:
        create()
    assert sentence in str(told.value)
    assert str(told.value).startswith(f"bucket {BUCKET} ")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "code"), [(413, ""), (400, "EntityTooLarge"), (400, "KeyTooLongError")]
)
def test_never(server: Obedient, status: int, code: str) -> None:
    server.answer = lambda _: error(status, code)
    with pytest.raises(RefusedError) as told:
        create()
    assert code in str(told.value)
    assert "\n" not in str(told.value)


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
    assert done.result(10).new


def test_a_put_is_tried_again_while_others_go_on(server: Obedient) -> None:
    failures: Queue[UnavailableError] = Queue()
    store = Store(BUCKET, 2, failures.put)
    server.answer = lambda _: error(503, "")
    one = store.create(KEY, FACE, {})
    failures.get(timeout=10)
    server.answer = server.store
    two = store.create(KEY + "2", FACE, {})
    assert two.result(10).new
    assert one.result(10).new
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
