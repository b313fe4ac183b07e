"""The audit against a real S3: what balances, and each way not to."""

import json
import os
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from facefleet import aws
from facefleet.auditing.erasure_records import Faces, Scope
from facefleet.delivery.outbox import Outbox, days
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.protocol import FaceName
from facefleet.settings import AuditSettings
from facefleet.tools.audit import print_audit
from facefleet.views import SEEN

from support.rig import AWS, BIN, BUCKET, Rig, s3
from support.shell import facefleet

MIB = 1 << 20
PAGE = 20  # objects that a listing of the server shows at a time


def jpeg(number: int, size: int = 2000) -> bytes:
    return b"\xff\xd8\xff" + number.to_bytes(4, "big") + bytes(size) + b"\xff\xd9"


class Camera:
    """An outbox filled by hand, and the bucket it should agree with."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.path = folder / "front.sqlite"
        self.endpoint = endpoint
        self.outbox = Outbox(self.path, "edge-1", "front", MIB)
        self.names: list[FaceName] = []
        self.bucket = s3(self.endpoint)

    def capture(self, count: int, ahead: timedelta = timedelta(0)) -> list[FaceName]:
        """`ahead`: of the device's clock."""
        start, now = len(self.names), datetime.now(UTC) + ahead
        # Five faces a frame: they share the capture time.
        faces = [(now + timedelta(milliseconds=n // 5), jpeg(start + n)) for n in range(count)]
        names, _ = self.outbox.add(faces)
        self.names += names
        return names

    def store(self, names: list[FaceName], confirm: bool = True, days_ago: int = 0) -> None:
        for name in names:
            self.bucket.put_object(Bucket=BUCKET, Key=str(name), Body=b"x")
        if confirm:
            day = datetime.now(UTC).date() - timedelta(days=days_ago)
            self.outbox.record_outcomes([(name.seq, name.tag) for name in names], day=day)

    def expire(self, names: list[FaceName]) -> None:
        """As the bucket's lifecycle does."""
        for name in names:
            self.bucket.delete_object(Bucket=BUCKET, Key=str(name))

    def variables(self) -> dict[str, str]:
        return {**AWS, "AWS_ENDPOINT_URL": self.endpoint, "FACEFLEET_BUCKET": BUCKET}

    def audit(self, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        variables = {**self.variables(), **variables}
        settings = {name.removeprefix("FACEFLEET_"): text for name, text in variables.items()}
        return facefleet("audit", str(self.path), *options, **settings)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Rig(tmp_path_factory.mktemp("s3")) as rig:
        yield rig.moto(MOTO_S3_DEFAULT_MAX_KEYS=str(PAGE))[1]


@pytest.fixture
def endpoint(server: str) -> str:
    """moto with everything forgotten."""
    urllib.request.urlopen(f"{server}/moto-api/reset", data=b"").close()
    return server


@pytest.fixture
def camera(tmp_path: Path, endpoint: str) -> Iterator[Camera]:
    s3(endpoint).create_bucket(Bucket=BUCKET)
    camera = Camera(tmp_path, endpoint)
    yield camera
    camera.outbox.close()


def test_a_camera_balances_with_faces_in_every_state(camera: Camera) -> None:
    names = camera.capture(40)
    camera.store(names[:20])
    camera.store(names[20:25], confirm=False)  # the receipt is still on its way
    camera.outbox.record_outcomes([], quarantined=[(names[25].seq, names[25].tag)])
    camera.outbox.record_outcomes([], dead=[(names[26].seq, names[26].tag, "too odd")])
    found = camera.audit("--json")
    assert found.returncode == 0, found.stdout + found.stderr
    (account,) = json.loads(found.stdout)
    assert account["counts"] == {
        "captured": 40,
        "stored": 20,
        "quarantined": 1,
        "pending": 18,
        "evicted": 0,
        "dead": 1,
        "dropped": 0,
    }
    assert account["in_bucket"] == 20
    assert "balanced" in camera.audit().stdout


def test_it_says_how_much_of_each_day_a_camera_saw(camera: Camera) -> None:
    today = datetime.now(UTC).date()
    day, bad, first = [days(today) - n for n in (1, 2, 4)]
    minutes = {minute: {SEEN: 60} for minute in range(first * 1440, (day + 1) * 1440)}
    minutes |= {minute: {"no stream": 60} for minute in range(bad * 1440 + 600, bad * 1440 + 631)}
    minutes |= {minute: {"dark": 60} for minute in range(bad * 1440, bad * 1440 + 9)}
    minutes[0] = minutes[(days(today) + 999) * 1440] = {SEEN: 60}  # by a wrong clock
    camera.outbox.record_coverage(minutes)
    found = camera.audit()
    assert found.returncode == 0, found.stdout + found.stderr
    dates = [(today - timedelta(days=n)).isoformat() for n in (4, 3, 2, 1)]
    assert found.stdout.split("\n\n")[1].splitlines() == [
        "camera        day (UTC)                 saw     did not see",
        f"edge-1/front  {dates[0]} to {dates[1]}  100.0%  -",
        f"edge-1/front  {dates[2]}                97.2%   no stream 31 min, dark 9 min",
        f"edge-1/front  {dates[3]}                100.0%  -",
    ]
    (account,) = json.loads(camera.audit("--json").stdout)
    assert [day["day"] for day in account["coverage"]] == dates
    assert account["coverage"][2] == {
        "day": dates[2],
        "begin": "00:00",
        "end": "24:00",
        "seconds": 86_400,
        "seen": 84_000,
        "not_seen": {"no stream": 1860, "dark": 540},
    }


def test_an_outbox_without_coverage_balances_without_a_word_of_it(camera: Camera) -> None:
    camera.store(camera.capture(3))
    with closing(sqlite3.connect(camera.path)) as db, db:
        db.execute("DROP TABLE coverage")
    found = camera.audit()
    assert found.returncode == 0, found.stderr
    assert "saw" not in found.stdout


def test_a_deleted_object_is_named(camera: Camera) -> None:
    camera.store(camera.capture(12))
    gone = str(camera.names[10])
    camera.bucket.delete_object(Bucket=BUCKET, Key=gone)
    found = camera.audit()
    assert found.returncode == 1
    assert f"missing  {gone}" in found.stdout
    assert found.stdout.count("missing  faces/") == 1
    assert "edge-1/front" in found.stderr


@pytest.mark.parametrize("which", ["first", "last", "all"])
def test_objects_missing_at_the_ends_are_missed(camera: Camera, which: str) -> None:
    camera.store(camera.capture(6))
    chosen = {"first": camera.names[:1], "last": camera.names[-1:], "all": camera.names}[which]
    for name in chosen:
        camera.bucket.delete_object(Bucket=BUCKET, Key=str(name))
    found = camera.audit("--json")
    assert found.returncode == 1
    assert json.loads(found.stdout)[0]["missing"]["count"] == len(chosen)


def test_what_the_bucket_no_longer_keeps_is_not_missed(camera: Camera) -> None:
    camera.store(camera.capture(6), days_ago=15)
    camera.expire(camera.names)
    camera.store(camera.capture(6), days_ago=14)
    assert camera.audit(FACEFLEET_RETENTION_DAYS="15").returncode == 0
    assert camera.audit(FACEFLEET_RETENTION_DAYS="16").stdout.count("missing  faces/") == 6
    assert camera.audit().returncode == 1
    camera.bucket.delete_object(Bucket=BUCKET, Key=str(camera.names[-1]))
    assert camera.audit(FACEFLEET_RETENTION_DAYS="15").stdout.count("missing  faces/") == 1


def test_an_object_that_no_outbox_knows_is_named(camera: Camera) -> None:
    camera.store(camera.capture(5))
    known = str(camera.names[2])
    forged = [
        known.replace(f"-{camera.names[2].tag}", "-00000000"),
        "faces/edge-1/front/2999/01/01/notes.txt",
    ]
    for key in forged:
        camera.bucket.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    found = camera.audit()
    assert found.returncode == 1
    assert all(f"unexpected  {key}" in found.stdout for key in forged)


def test_copies_of_an_outbox_balance_together_and_each_one_says_what_is_not_its_own(
    camera: Camera, tmp_path: Path
) -> None:
    camera.store(camera.capture(4))
    camera.outbox.close()
    original, copy = camera.path, tmp_path / "copy.sqlite"
    copy.write_bytes(original.read_bytes())
    for path, offset in ((original, 100), (copy, 200)):
        outbox = camera.outbox = Outbox(path, "edge-1", "front", MIB)
        for renewed in (False, True):  # three faces until it learns of the copy, three after
            now = datetime.now(UTC)
            names, _ = outbox.add((now, jpeg(offset + 10 * renewed + n)) for n in range(3))
            camera.store(names)
            if path == original and not renewed:
                outbox.begin_epoch()
        outbox.close()

    together = camera.audit("--json", str(copy))
    accounts = json.loads(together.stdout)
    assert together.returncode == 0, together.stdout
    assert [account["in_bucket"] for account in accounts] == [10, 10]
    assert accounts[0]["former_epochs"] == [accounts[1]["epoch"]]

    alone = camera.audit("--json")
    (account,) = json.loads(alone.stdout)
    assert alone.returncode == 1
    assert account["other_epochs"] == {account["former_epochs"][0]: 6}
    assert (len(account["missing"]["keys"]), len(account["unexpected"]["keys"])) == (0, 6)
    assert camera.audit("--other-epochs").returncode == 0

    camera.path = copy  # which did not learn of the other: these faces could be its own
    assert camera.audit("--other-epochs").returncode == 1


def test_objects_of_another_epoch_are_a_matter_of_choice(camera: Camera) -> None:
    camera.store(camera.capture(3))
    key = str(camera.names[0]).replace(camera.outbox.epoch, "0badcafe")
    camera.bucket.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert camera.audit().returncode == 1
    found = camera.audit("--other-epochs")
    assert found.returncode == 0
    assert "0badcafe" in found.stdout


def test_what_was_evicted_or_dropped_is_accounted_for(camera: Camera) -> None:
    names = camera.capture(5)
    camera.store(names[:1], confirm=False)
    for _ in range(30):
        camera.capture(20)  # 1.2 MB: over the bound
    assert camera.outbox.counts.evicted >= 5
    letter = camera.names[-1]
    camera.outbox.record_outcomes([], dead=[(letter.seq, letter.tag, "odd")])
    assert OutboxReader(camera.path).drop([letter.seq]) == [letter.seq]
    found = camera.audit()
    assert found.returncode == 0, found.stdout


def test_more_than_a_page_of_objects(camera: Camera) -> None:
    camera.store(camera.capture(2 * PAGE + 1))
    listed = camera.bucket.list_objects_v2(Bucket=BUCKET)
    assert (listed["KeyCount"], listed["IsTruncated"]) == (PAGE, True)
    found = camera.audit("--json")
    assert found.returncode == 0, found.stdout
    assert json.loads(found.stdout)[0]["in_bucket"] == 2 * PAGE + 1


def test_a_wrong_path_and_a_missing_bucket_get_a_sentence(camera: Camera, tmp_path: Path) -> None:
    camera.capture(1)
    camera.path, path = tmp_path / "no.sqlite", camera.path
    found = camera.audit()
    assert (found.returncode, found.stdout) == (1, "")
    assert "there is no outbox" in found.stderr
    camera.path = path
    camera.bucket.delete_bucket(Bucket=BUCKET)
    found = camera.audit()
    assert found.returncode == 1
    assert f"bucket {BUCKET} does not exist: create it" in found.stderr
    assert "Traceback" not in found.stderr


def test_an_object_under_another_camera_is_named(camera: Camera, tmp_path: Path) -> None:
    camera.store(camera.capture(3))
    back = Outbox(tmp_path / "back.sqlite", "edge-1", "back", MIB)
    key = str(camera.names[0]).replace("/front/", "/back/")  # of an epoch that the audit knows
    camera.bucket.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert camera.audit().returncode == 0  # the back's is not asked for
    found = camera.audit(str(back.path))
    back.close()
    assert found.returncode == 1
    assert f"unexpected  {key}" in found.stdout


def test_a_ledger_that_has_lost_lines_does_not_balance(camera: Camera) -> None:
    camera.store(camera.capture(8))
    for name in camera.names[2:4]:
        camera.bucket.delete_object(Bucket=BUCKET, Key=str(name))
    with closing(sqlite3.connect(camera.path)) as db, db:
        db.execute("DELETE FROM ledger WHERE seq IN (3, 4)")
    found = camera.audit()
    assert found.returncode == 1
    assert "the outbox has no record of 2 captured faces" in found.stdout


def test_lines_that_were_pruned_are_no_lost_ones(camera: Camera) -> None:
    camera.store(camera.capture(5), days_ago=40)
    camera.expire(camera.names)
    camera.store(camera.capture(5))
    assert camera.outbox.prune() == 5
    assert camera.audit().returncode == 0


def test_what_was_stored_before_the_audit_looks_is_told(camera: Camera) -> None:
    camera.store(camera.capture(4), days_ago=29)
    found = camera.audit()
    assert found.returncode == 0
    assert "4 confirmed faces were stored before the audited period" in found.stdout


@pytest.mark.parametrize("days", [4000, 1, -1, -35, -20_000])
def test_a_devices_clock_decides_nothing(camera: Camera, days: int) -> None:
    ahead = timedelta(days=days)
    camera.store(camera.capture(3, ahead), days_ago=31)
    camera.expire(camera.names)
    kept = camera.capture(3, ahead)
    camera.store(kept)
    forged = str(kept[0]).replace(f"-{kept[0].tag}", "-00000000")
    found = camera.audit()
    assert found.returncode == 0, found.stdout
    camera.bucket.put_object(Bucket=BUCKET, Key=forged, Body=b"x")
    camera.bucket.delete_object(Bucket=BUCKET, Key=str(kept[1]))
    found = camera.audit()
    assert found.returncode == 1
    wrong = [line for line in found.stdout.splitlines() if "ected  faces/" in line]
    assert wrong == [f"unexpected  {forged}"]
    wrong = [line for line in found.stdout.splitlines() if line.startswith("missing  ")]
    assert wrong == [f"missing  {kept[1]}"]


def test_more_outboxes_than_a_process_may_have_open_files(camera: Camera, tmp_path: Path) -> None:
    paths = []
    for number in range(30):
        outbox = Outbox(tmp_path / f"{number}.sqlite", f"edge-{number}", "front", MIB)
        outbox.close()
        paths.append(str(outbox.path))
    found = subprocess.run(
        ["prlimit", "--nofile=40", BIN / "facefleet", "audit", camera.path, *paths],
        env={**os.environ, **camera.variables()},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr


def test_a_record_is_read_once_for_all_outboxes(
    camera: Camera,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    camera.store(camera.capture(3))
    camera.expire(camera.names)
    records = [Scope(None, None), Scope("edge-1", None)]
    for scope in records:  # of every device, and of this one
        body = Faces(camera.names).body()
        camera.bucket.put_object(Bucket=BUCKET, Key=scope.record(datetime.now(UTC)), Body=body)
    paths = [camera.path]
    for device, name in (("edge-1", "back"), ("edge-2", "front"), ("edge-3", "front")):
        paths.append(tmp_path / f"{device}-{name}.sqlite")
        Outbox(paths[-1], device, name, MIB).close()
    read: list[str] = []
    camera.bucket.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: read.append(params["Key"])
    )
    monkeypatch.setattr(aws, "s3_client", lambda: camera.bucket)
    print_audit(AuditSettings(bucket=BUCKET), paths, as_json=True, other_epochs=False)
    assert [account["erased"] for account in json.loads(capsys.readouterr().out)] == [3, 0, 0, 0]
    assert len(read) == len(set(read)) == len(records)
