"""What is erased from a real S3 is gone in every version, and nothing else is."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
from facefleet.auditing.erasure_records import Erasure, Faces, Scope
from facefleet.delivery.outbox import Outbox
from facefleet.protocol import FaceName

from support.rig import AWS, BUCKET, Rig, s3
from support.shell import facefleet, told

MONDAY, TUESDAY = datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)


def key(device: str, at: datetime, seq: int = 1, camera: str = "front") -> str:
    return str(FaceName(device, camera, at, "0123abcd", seq, "89abcdef"))


class Bucket:
    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.client = endpoint, s3(endpoint)

    def put(self, *keys: str, topic: str | None = None) -> None:
        for key in keys:
            more = {"Metadata": {"topic": quote(topic)}} if topic else {}
            self.client.put_object(Bucket=BUCKET, Key=key, Body=b"face", **more)

    def delete(self, *keys: str) -> None:
        """As anybody would: in a bucket with versions it leaves a marker before them."""
        self.client.delete_objects(
            Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )

    def all(self) -> list[str]:
        """The key of every version and delete marker, but for the records of what was erased."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
        return sorted(
            item["Key"]
            for page in pages
            for kind in ("Versions", "DeleteMarkers")
            for item in page.get(kind, ())
            if not item["Key"].startswith("erased/")
        )

    def records(self) -> list[Erasure]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix="erased/").get("Contents", ())
        return [Erasure.parse(item["Key"]) for item in found]

    def erase(self, *options: str):
        return facefleet("erase", *options, BUCKET=BUCKET, AWS_ENDPOINT_URL=self.endpoint, **AWS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Rig(tmp_path_factory.mktemp("s3")) as rig:
        yield rig.moto()[1]


@pytest.fixture
def plain(server: str) -> Bucket:
    """A bucket of which nothing else is known."""
    urllib.request.urlopen(f"{server}/moto-api/reset", data=b"").close()
    bucket = Bucket(server)
    bucket.client.create_bucket(Bucket=BUCKET)
    return bucket


@pytest.fixture
def bucket(plain: Bucket) -> Bucket:
    """One with versions."""
    plain.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return plain


def test_a_dry_run_comes_first_and_deletes_nothing(bucket: Bucket) -> None:
    mine = [key("edge-1", MONDAY), key("edge-1", TUESDAY, camera="back")]
    bucket.put(*mine, mine[0], key("edge-2", MONDAY))
    before = bucket.all()
    result = bucket.erase("--device", "edge-1")
    assert result.returncode == 0, result.stderr
    (row,) = [line.split() for line in result.stdout.splitlines() if line.startswith("faces ")]
    assert row == ["faces", "2", "1", "12", *sorted(mine)]
    assert "Nothing was deleted. Pass --yes to delete." in result.stdout
    assert "Devices may still hold faces" in result.stdout
    assert bucket.all() == before
    assert not bucket.records()


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--device", "edge-1"], {("edge-1", MONDAY), ("edge-1", TUESDAY)}),
        (["--day", "2026-03-02"], {("edge-1", MONDAY), ("edge-2", MONDAY)}),
        (["--device", "edge-1", "--day", "2026-03-02"], {("edge-1", MONDAY)}),
    ],
)
def test_a_scope_is_erased_in_all_versions_and_nothing_else(
    bucket: Bucket, options: list[str], gone: set[tuple[str, datetime]]
) -> None:
    places = [(device, at) for device in ("edge-1", "edge-2") for at in (MONDAY, TUESDAY)]
    left = []
    for device, at in places:
        faces = [key(device, at, seq, camera) for seq in (1, 2) for camera in ("front", "probe")]
        aside = f"quarantine/{device}/front/{at:%d}"
        nameless = f"quarantine/unknown/{device}-{at:%d}"  # its content is not what its tag says
        bucket.put(*faces, faces[0])
        bucket.put(aside, nameless, topic=faces[0])
        bucket.put(aside, topic=faces[0])
        bucket.delete(faces[1], aside)
        if (device, at) not in gone:
            left += [*faces, faces[0], faces[1], aside, aside, aside, nameless]
    bucket.put("quarantine/ready", "edge-1/notes")
    left += ["quarantine/ready", "edge-1/notes"]
    started = datetime.now(UTC)
    result = bucket.erase(*options, "--yes")
    assert result.returncode == 0, result.stderr
    assert bucket.all() == sorted(left)
    ((scope, at),) = [(one.scope, one.at) for one in bucket.records()]
    assert all(scope.covers(FaceName.parse(key(*place))) is (place in gone) for place in places)
    assert started <= at <= datetime.now(UTC)
    again = bucket.erase(*options, "--yes")
    assert bucket.all() == sorted(left)
    assert (again.returncode, "nothing" in again.stdout + again.stderr) == (
        1 if options == ["--device", "edge-1"] else 0,
        True,
    )


def test_what_in_quarantine_says_no_day_is_of_the_day_it_came(bucket: Bucket) -> None:
    bucket.put("quarantine/unknown/a", topic="faces/edge-1/not-a-face")
    bucket.put("quarantine/unknown/b", topic="faces/../edge-1")
    bucket.put("quarantine/edge-1/front/c")
    today = datetime.now(UTC)
    assert bucket.erase("--day", "2026-03-02", "--yes").returncode == 0
    assert len(bucket.all()) == 3
    assert bucket.erase("--day", f"{today:%Y-%m-%d}", "--device", "edge-1", "--yes").returncode == 0
    assert bucket.all() == ["quarantine/unknown/b"]
    said = bucket.erase("--day", f"{today:%Y-%m-%d}").stdout
    assert re.search(r"^quarantine +1 ", said, re.MULTILINE)


def test_what_names_no_device_is_left_and_said(bucket: Bucket) -> None:
    bucket.put("quarantine/unknown/a", topic="faces//x")
    bucket.put("quarantine/unknown/b")
    bucket.put(key("edge-1", MONDAY))
    result = bucket.erase("--device", "edge-1", "--yes")
    assert result.returncode == 0, result.stderr
    assert "Kept 2 in quarantine/unknown/ that name no device." in result.stdout
    assert bucket.all() == ["quarantine/unknown/a", "quarantine/unknown/b"]


def test_more_than_a_request_takes(bucket: Bucket) -> None:
    face = key("edge-1", MONDAY)
    bucket.put(face, key("edge-2", MONDAY))
    bucket.delete(*[face] * 999)  # a marker each time
    bucket.delete(*[face] * 100)
    result = bucket.erase("--device", "edge-1", "--yes")
    assert result.returncode == 0, result.stderr
    assert "Deleted permanently: 1,100 (recorded as erased/" in result.stdout
    assert bucket.all() == [key("edge-2", MONDAY)]


def test_a_bucket_without_versions(plain: Bucket) -> None:
    plain.put(key("edge-1", MONDAY), key("edge-2", MONDAY))
    assert plain.erase("--device", "edge-1", "--yes").returncode == 0
    assert plain.all() == [key("edge-2", MONDAY)]


def test_the_audit_takes_it_for_erased_and_not_for_missing(bucket: Bucket, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "front.sqlite", "edge-1", "front", 1 << 20)
    names, _ = outbox.add([(datetime.now(UTC), b"%d" % n) for n in range(5)])
    outbox.record_outcomes([(name.seq, name.tag) for name in names])
    outbox.close()
    bucket.put(*map(str, names))

    def audit():
        return facefleet(
            "audit", str(outbox.path), BUCKET=BUCKET, AWS_ENDPOINT_URL=bucket.endpoint, **AWS
        )

    assert audit().returncode == 0
    assert bucket.erase("--device", "edge-2").returncode == 1
    bucket.delete(str(names[0]))
    assert audit().returncode == 1
    assert bucket.erase("--device", "edge-1", "--yes").returncode == 0
    found = audit()
    assert found.returncode == 0, found.stdout
    head, row = found.stdout.splitlines()[:2]
    assert "erased" in head
    assert row.split()[9:13] == ["0", "5", "0", "0"]

    outbox = Outbox(tmp_path / "front.sqlite", "edge-1", "front", 1 << 20)
    (after,), _ = outbox.add([(datetime.now(UTC), b"after")])
    outbox.record_outcomes([(after.seq, after.tag)])
    outbox.close()
    found = audit()
    assert (found.returncode, f"missing  {after}" in found.stdout) == (1, True)


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=400), -timedelta(days=3)])
def test_a_devices_clock_decides_nothing(bucket: Bucket, tmp_path: Path, ahead: timedelta) -> None:
    path = tmp_path / "front.sqlite"

    def capture(count: int) -> list[FaceName]:
        with closing(Outbox(path, "edge-1", "front", 1 << 20)) as outbox:
            faces = [(datetime.now(UTC) + ahead, b"%d" % n) for n in range(count)]
            names, _ = outbox.add(faces)
            outbox.record_outcomes([(name.seq, name.tag) for name in names])
            return names

    def audit():
        return facefleet("audit", str(path), BUCKET=BUCKET, AWS_ENDPOINT_URL=bucket.endpoint, **AWS)

    bucket.put(*map(str, capture(5)))
    assert audit().returncode == 0
    assert bucket.erase("--device", "edge-1", "--yes").returncode == 0
    found = audit()
    assert found.returncode == 0, found.stdout
    assert found.stdout.splitlines()[1].split()[9:13] == ["0", "5", "0", "0"]
    (lost,) = capture(1)  # of which no record says that it was erased
    found = audit()
    assert (found.returncode, f"missing  {lost}" in found.stdout) == (1, True)


def test_an_older_record_stands_for_what_was_captured_by_then() -> None:
    face = FaceName.parse(key("edge-1", MONDAY))
    scope = Scope("edge-1", None)
    assert Erasure(scope, MONDAY).read(b"").explains(face)
    assert not Erasure(scope, MONDAY - timedelta(seconds=1)).read(b"").explains(face)
    assert not Erasure(Scope("edge-2", None), TUESDAY).read(b"").explains(face)


def test_a_record_explains_what_it_names() -> None:
    at = [FaceName.parse(key("edge-1", MONDAY, seq)) for seq in (1, 2, 3, 5)]
    record = Faces([at[0], at[1], at[3]]).body()
    assert record == b'{"edge-1/front/0123abcd":[[1,2],[5,5]]}'
    found = Erasure(Scope("edge-1", None), datetime(2020, 1, 1, tzinfo=UTC)).read(record)
    assert [found.explains(face) for face in at] == [True, True, False, True]
    assert not found.explains(replace(at[0], camera="back"))
    assert not found.explains(replace(at[0], epoch="fedcba98"))


def test_a_record_that_cannot_be_read_is_told(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "front.sqlite"
    Outbox(path, "edge-1", "front", 1 << 20).close()
    bucket.put(Scope("edge-1", None).record(MONDAY))
    found = facefleet("audit", str(path), BUCKET=BUCKET, AWS_ENDPOINT_URL=bucket.endpoint, **AWS)
    assert found.returncode == 1
    assert "is not a valid record of an erasure" in told(found)[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "no faces selected: pass --device, --day, or both"),
        (["--day", "2026-02-31"], "'2026-02-31' is not a day: give a date such as 2026-02-28"),
        (["--day", "20260228"], "'20260228' is not a day"),
        (["--day", "yesterday"], "'yesterday' is not a day"),
        (["--day", ""], "'' is not a day"),
        (["--device", ""], "'' is not a valid device name"),
        (["--device", "edge-1/front"], "'edge-1/front' is not a valid device name"),
        (["--device", ".."], "'..' is not a valid device name"),
        (["--device", "edge-3"], f"bucket {BUCKET} has nothing from device edge-3: use one of"),
    ],
)
def test_nonsense_is_refused(bucket: Bucket, options: list[str], sentence: str) -> None:
    bucket.put(key("edge-1", MONDAY), key("edge-2", MONDAY))
    result = bucket.erase(*options, "--yes")
    assert result.returncode == 1
    (told_,) = told(result)
    assert told_.startswith(sentence)
    assert len(bucket.all()) == 2
    assert not bucket.records()


def test_where_no_versions_are_kept_the_objects_are_erased(plain: Bucket) -> None:
    """Some of those S3s refuse every request that names a version."""
    with Unversioned(plain.endpoint) as proxy:
        bucket = Bucket(proxy.endpoint)
        mine, other = key("edge-1", MONDAY), key("edge-2", MONDAY)
        bucket.put(mine, other, "quarantine/edge-1/front/0123", "quarantine/edge-2/front/0123")
        result = bucket.erase("--device", "edge-1")
        assert result.returncode == 0, result.stderr
        assert "Nothing was deleted" in result.stdout
        result = bucket.erase("--device", "edge-1", "--yes")
        assert result.returncode == 0, result.stderr
        assert "Deleted permanently: 2 " in result.stdout
    assert plain.all() == [other, "quarantine/edge-2/front/0123"]
    assert len(plain.records()) == 1


class Unversioned(ThreadingHTTPServer):
    """moto, without all that has to do with versions: 501, or 400 where an id is named."""

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.upstream = upstream
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Pass(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "?versioning" in self.path or "?versions" in self.path:
            return self._answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        if "versionId=" in self.path or b"<VersionId>" in body:
            return self._answer(400, b"")
        headers = {"Content-Type": "application/xml", **self.headers}  # else urllib adds a form's
        ask = urllib.request.Request(
            self.server.upstream + self.path, body or None, headers, method=self.command
        )
        try:
            with urllib.request.urlopen(ask, timeout=20) as found:
                return self._answer(found.status, found.read(), dict(found.headers))
        except urllib.error.HTTPError as error:
            return self._answer(error.code, error.read(), dict(error.headers))

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {"Content-Length": str(len(body))}).items():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_bucket_that_is_not_there_gets_a_sentence(plain: Bucket) -> None:
    plain.client.delete_bucket(Bucket=BUCKET)
    result = plain.erase("--device", "edge-1")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith(f"bucket {BUCKET} does not exist: create it ")


def test_an_s3_that_does_not_answer_is_no_matter_of_rights() -> None:
    result = Bucket("http://127.0.0.1:1").erase("--device", "edge-1")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith(f"bucket {BUCKET} cannot be reached (Could not connect to ")
    assert "AWS_ENDPOINT_URL" in sentence
    assert "s3:" not in sentence


def test_what_may_not_be_deleted_is_said(plain: Bucket) -> None:
    bucket = plain
    bucket.client.delete_bucket(Bucket=BUCKET)
    bucket.client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    bucket.put(key("edge-1", MONDAY))
    version = bucket.client.list_object_versions(Bucket=BUCKET)["Versions"][0]["VersionId"]
    bucket.client.put_object_legal_hold(
        Bucket=BUCKET, Key=key("edge-1", MONDAY), VersionId=version, LegalHold={"Status": "ON"}
    )
    result = bucket.erase("--device", "edge-1", "--yes")
    assert result.returncode == 1, result.stdout
    (sentence,) = told(result)
    start = f"cannot delete objects in bucket {BUCKET} (1 failed, such as "
    assert sentence.startswith(f"{start}{key('edge-1', MONDAY)}: ")
    assert len(bucket.all()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "erased/",
        "erased/2026-03-02T000000.000000Z/edge-1",
        "erased/2026-03-02T000000.000000Z/edge-1/2026-3-2",
        "erased/2026-03-02T000000.000000Z/Edge/all.",
        "erased/2026-03-02/edge-1/all.",
        "faces/edge-1",
    ],
)
def test_what_is_no_record_erases_nothing(name: str) -> None:
    found = Erasure.parse(name)
    assert found is None or found.scope.record(found.at) == name
    assert name.endswith("Edge/all.") or found is None


def test_a_record_is_read_back() -> None:
    for device in ("edge-1", None):
        for day in (date(2026, 3, 2), None):
            scope = Scope(device, day)
            assert Erasure.parse(scope.record(MONDAY)) == Erasure(scope, MONDAY)
