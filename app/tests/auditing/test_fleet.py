"""The audit of a fleet against a real S3: what balances, and each way not to."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from facefleet.auditing.digests import Digests
from facefleet.auditing.erasure_records import Faces, Scope
from facefleet.auditing.fleet import Account, FleetAudit
from facefleet.auditing.proofs import VALID, Proofs
from facefleet.bucket import Bucket, BucketError
from facefleet.digest import (
    Day,
    DigestName,
    Head,
    Hour,
    Line,
    Sealed,
    content_hash,
    day_name,
    hash_of,
)
from facefleet.protocol import FaceName

from support.rig import Rig, s3

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
THIS_HOUR = NOW.replace(minute=0, second=0, microsecond=0)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with Rig(tmp_path_factory.mktemp("s3")) as rig:
        yield s3(rig.moto()[1])


class Site:
    """A bucket, and what the outboxes of its cameras say."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.name = f"faces-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=self.name)
        self.proofs = Proofs()
        self.listings: list[str] = []
        self._handlers: list[tuple[str, Callable]] = []
        self.on("before-parameter-build", self._count)

    def on(self, event: str, handler: Callable) -> None:
        """Call `handler` at an event of each listing."""
        self._handlers.append((f"{event}.s3.ListObjectsV2", handler))
        self.client.meta.events.register(*self._handlers[-1])

    def _count(self, params: dict, **_: object) -> None:
        self.listings.append(params["Prefix"])

    def close(self) -> None:
        for handler in self._handlers:
            self.client.meta.events.unregister(*handler)
        self.proofs.close()

    def put(self, key: str, content: bytes = b"x") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def verify(self, _: DigestName, sealed: Sealed) -> str | None:
        return None if sealed.signature in (b"", b"good") else "has a wrong signature"

    def audit(self, **options: object) -> dict[str, Account]:
        self.listings.clear()
        bucket = Bucket(self.client, self.name)
        digests = Digests(bucket, self.verify, self.proofs)
        audit = FleetAudit(bucket, digests, self.proofs, 30, **options)
        return {account.camera: account for account in audit.accounts()}


class Camera:
    """An outbox as its digests show it."""

    def __init__(self, site: Site, camera: str = "front", epoch: str = "0123abcd") -> None:
        self.site, self.camera, self.epoch = site, camera, epoch
        self.faces: list[FaceName] = []
        self.states: list[str] = []
        self.number = int(NOW.timestamp())

    def capture(
        self, count: int, at: datetime = THIS_HOUR, state: str = "s", store: bool | None = None
    ) -> list[FaceName]:
        """Faces of one hour; `store`: put into the bucket (if unset, those that are confirmed)."""
        seqs = range(len(self.faces) + 1, len(self.faces) + count + 1)
        made = [
            FaceName(
                "edge-1", self.camera, at + timedelta(seconds=seq), self.epoch, seq, f"{seq:08x}"
            )
            for seq in seqs
        ]
        self.faces += made
        self.states += [state] * count
        if store or (store is None and state == "s"):
            for face in made:
                self.site.put(str(face))
        return made

    def lines(self, hour: datetime) -> list[Line]:
        return [
            Line(face.seq, face.tag, state)
            for face, state in zip(self.faces, self.states, strict=True)
            if state != "e" and hour <= face.captured < hour + HOUR
        ]

    def days(self) -> dict[date, Day]:
        found: dict[date, dict[int, Hour]] = {}
        for hour in sorted({face.captured.replace(minute=0, second=0) for face in self.faces}):
            lines = self.lines(hour)
            stored = [line[:2] for line in lines if line.state == "s"]
            others = [sum(line.state == letter for line in lines) for letter in "qpd"]
            if lines:
                entry = Hour(len(stored), hash_of(stored), *others)
                found.setdefault(hour.date(), {})[hour.hour] = entry
        return {day: Day(day, hours) for day, hours in found.items()}

    def head(self, days: dict[date, bytes]) -> Head:
        self.number += 1
        evicted = [face.seq for face, s in zip(self.faces, self.states, strict=True) if s == "e"]
        return Head(
            number=self.number,
            time=datetime.now(UTC).replace(microsecond=0),
            instance="a",
            machine="b",
            captured=len(self.faces),
            stored=self.states.count("s"),
            quarantined=self.states.count("q"),
            pending=self.states.count("p"),
            evicted=len(evicted),
            dead=self.states.count("d"),
            dropped=0,
            pruned=0,
            gone=[(seq, seq) for seq in evicted],
            days={day: content_hash(payload) for day, payload in days.items()},
        )

    def digest(self, **changes: object) -> DigestName:
        """Store a digest; `changes`: in its head."""
        payloads = {day: digest.encode() for day, digest in self.days().items()}
        for day, payload in payloads.items():
            name = day_name("edge-1", self.camera, self.epoch, day, payload)
            self.site.put(str(name), payload)
        head = replace(self.head(payloads), **changes)
        name = head.name("edge-1", self.camera, self.epoch)
        self.site.put(str(name), head.encode())
        return name


@pytest.fixture
def site(client: Any) -> Iterator[Site]:
    with closing(Site(client)) as made:
        yield made


@pytest.fixture
def camera(site: Site) -> Camera:
    return Camera(site)


def hour_named(start: datetime) -> str:
    return f"{start:%Y-%m-%d %H:00} to {start + HOUR:%H:00} UTC"


def test_a_camera_balances_with_faces_in_every_state(site: Site, camera: Camera) -> None:
    for hours in range(3):
        camera.capture(5, THIS_HOUR - hours * HOUR)
    camera.capture(2, state="p")
    camera.capture(1, state="p", store=True)  # its receipt is on its way
    camera.capture(1, state="q")
    camera.capture(1, state="d")
    camera.capture(3, state="e")
    camera.digest()
    account = site.audit()["edge-1/front"]
    assert account.problems == []
    counts = (account.captured, account.stored, account.pending, account.evicted, account.dead)
    assert counts == (23, 15, 3, 3, 1)
    assert account.proved_until == account.digest


def test_a_face_that_is_gone_from_the_bucket_is_missed(site: Site, camera: Camera) -> None:
    camera.capture(5, THIS_HOUR - 3 * HOUR)
    lost = camera.capture(5, THIS_HOUR - 2 * HOUR)[2]
    camera.capture(5)
    camera.digest()
    site.delete(str(lost))
    account = site.audit()["edge-1/front"]
    when = hour_named(THIS_HOUR - 2 * HOUR)
    assert account.problems == [f"1 confirmed faces of {when} are not in the bucket"]
    assert (account.missing, account.unexpected) == (1, 0)
    assert account.proved_until == THIS_HOUR - 2 * HOUR


def test_one_object_more_is_unexpected(site: Site, camera: Camera) -> None:
    face = camera.capture(5)[0]
    camera.digest()
    site.put(str(replace(face, tag="ffffffff")))
    account = site.audit()["edge-1/front"]
    when = hour_named(THIS_HOUR)
    assert account.problems == [f"1 faces of {when} in the bucket are unknown to the outbox"]
    assert account.proved_until == THIS_HOUR


def test_another_face_in_place_of_one_is_noticed(site: Site, camera: Camera) -> None:
    face = camera.capture(5)[0]
    camera.digest()
    site.delete(str(face))
    site.put(str(replace(face, tag="ffffffff")))
    account = site.audit()["edge-1/front"]
    when = hour_named(THIS_HOUR)
    assert account.problems == [
        f"the faces of {when} in the bucket are not those that were confirmed"
    ]


def test_objects_without_a_digest_or_a_name_are_unexpected(site: Site, camera: Camera) -> None:
    face = camera.capture(5)[0]
    camera.digest()
    site.put(str(replace(face, epoch="76543210")))
    site.put("faces/edge-1/front/2026/readme.txt")
    site.put("faces/edge-1/front/\N{ELECTRIC ARROW}")
    account = site.audit()["edge-1/front"]
    assert account.unexpected == 3
    assert account.problems == [
        f"1 faces of {hour_named(THIS_HOUR)} from an outbox without a digest (epoch 76543210)",
        "1 objects that are no faces, such as faces/edge-1/front/2026/readme.txt",
        "1 objects that are no faces, such as faces/edge-1/front/\N{ELECTRIC ARROW}",
    ]


def test_what_was_proved_is_not_listed_again_for_a_day(
    site: Site, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = camera.capture(9, THIS_HOUR - 2 * HOUR)
    camera.digest()
    assert site.audit()["edge-1/front"].listed == 9
    camera.capture(3)
    camera.digest()
    site.delete(str(old[7]))
    account = site.audit()["edge-1/front"]
    assert (account.listed, account.problems) == (3, [])
    assert site.listings.count("faces/edge-1/front/") == 2
    # An audit of the next day lists everything.
    now = time.time()
    monkeypatch.setattr("facefleet.auditing.proofs.time.time", lambda: now + VALID)
    account = site.audit()["edge-1/front"]
    assert account.missing == 1
    assert account.proved_until == THIS_HOUR - 2 * HOUR
    assert site.audit()["edge-1/front"].missing == 1  # an hour that differs stays unproved


def test_a_claim_that_changes_is_proved_again(site: Site, camera: Camera) -> None:
    """As when the outage of a device ends: faces of old hours are confirmed late."""
    waiting = camera.capture(4, THIS_HOUR - 5 * HOUR, state="p")
    camera.capture(4, THIS_HOUR - 4 * HOUR)
    camera.digest()
    assert site.audit()["edge-1/front"].balanced
    for face in waiting:
        camera.states[face.seq - 1] = "s"
    camera.digest()
    account = site.audit()["edge-1/front"]
    assert (account.listed, account.missing) == (0, 4)
    assert account.proved_until == THIS_HOUR - 5 * HOUR
    for face in waiting:
        site.put(str(face))
    account = site.audit()["edge-1/front"]
    assert (account.listed, account.problems) == (4, [])


def test_erased_faces_are_not_missing(site: Site, camera: Camera) -> None:
    erased = camera.capture(5, THIS_HOUR - 3 * HOUR)[1:4]
    others = camera.capture(5, THIS_HOUR - 2 * HOUR)
    camera.digest()
    for face in erased:
        site.delete(str(face))
    record = Scope("edge-1", None).record(datetime.now(UTC))
    site.put(record, Faces(erased).body())
    account = site.audit()["edge-1/front"]
    assert (account.erased, account.problems) == (3, [])
    # It explains no further face.
    site.delete(str(others[0]))
    site.proofs.forget_before(date.max)
    account = site.audit()["edge-1/front"]
    assert (account.erased, account.missing) == (3, 1)


def test_two_epochs_of_one_camera(site: Site, camera: Camera) -> None:
    camera.capture(5, THIS_HOUR - 2 * HOUR)
    waiting = camera.capture(2, THIS_HOUR - HOUR, state="p")
    camera.digest()
    new = Camera(site, epoch="ffff0000")
    new.capture(4, THIS_HOUR - HOUR)
    new.digest()
    account = site.audit()["edge-1/front"]
    assert account.problems == []
    assert account.notes == [
        "2 faces were not confirmed yet when the outbox with epoch 0123abcd was replaced"
    ]
    assert account.epochs == ["0123abcd", "ffff0000"]
    assert (account.captured, account.stored, account.pending) == (11, 9, 2)
    # They arrive nevertheless.
    for face in waiting:
        site.put(str(face))
    assert site.audit()["edge-1/front"].problems == []
    site.delete(str(new.faces[0]))
    site.proofs.forget_before(date.max)
    assert site.audit()["edge-1/front"].missing == 1


def test_a_device_that_is_off_is_judged_by_its_last_digest(site: Site, camera: Camera) -> None:
    camera.capture(5, THIS_HOUR - 30 * HOUR)
    then = (NOW - 29 * HOUR).replace(microsecond=0)
    camera.digest(time=then)
    # What it captured afterwards is in the bucket, and in no digest yet.
    camera.capture(5, THIS_HOUR - 28 * HOUR)
    account = site.audit()["edge-1/front"]
    assert account.problems == []
    assert account.proved_until == account.digest == then


def test_a_clock_that_is_ahead_proves_nothing_of_the_future(site: Site, camera: Camera) -> None:
    camera.capture(5, THIS_HOUR + 5000 * HOUR)
    camera.digest(time=NOW + 5000 * HOUR)
    account = site.audit()["edge-1/front"]
    assert account.problems == []
    assert account.proved_until <= datetime.now(UTC)


def test_expired_faces_are_not_missing(site: Site, camera: Camera) -> None:
    old = camera.capture(5, THIS_HOUR - timedelta(days=31))
    camera.capture(5)
    camera.digest()
    for face in old[:3]:
        site.delete(str(face))
    account = site.audit()["edge-1/front"]
    assert (account.problems, account.unchecked, account.missing) == ([], 5, 0)
    assert account.proved_until == account.digest


def test_a_camera_without_a_digest_is_named(site: Site, camera: Camera) -> None:
    camera.capture(2)
    site.put("faces/edge-1/probe/2026/11/27/080000.000000-0123abcd-1-01234567.jpg")
    (account,) = site.audit().values()
    assert account.problems[0] == (
        "no digest is in the bucket: check that the camera's detector runs, and that the device "
        "has the version of the cloud"
    )
    assert account.proved_until is None


def test_an_empty_bucket_has_no_accounts(site: Site) -> None:
    assert site.audit() == {}


# -- digests that cannot be trusted ------------------------------------------------------------


def test_a_digest_with_a_wrong_signature_is_named_and_not_used(site: Site, camera: Camera) -> None:
    camera.capture(2)
    camera.digest()
    lost = camera.capture(2)
    name = camera.digest()
    account = site.audit()["edge-1/front"]
    assert account.captured == 4
    site.proofs = Proofs()
    head = camera.head({})
    site.put(str(name), Sealed(head.encode(), b"bad", b"certificate").encode())
    for face in lost:
        site.delete(str(face))
    account = site.audit()["edge-1/front"]
    assert account.problems == [f"the digest {name} has a wrong signature"]
    assert account.captured == 2


@pytest.mark.parametrize("what", ["head", "day"])
def test_a_digest_that_was_tampered_with_is_not_used(site: Site, camera: Camera, what: str) -> None:
    camera.capture(2)
    name = camera.digest()
    if what == "day":
        found = site.client.list_objects_v2(Bucket=site.name, Prefix=name_prefix(name, "day"))
        (key,) = [entry["Key"] for entry in found["Contents"]]
    else:
        key = str(name)
    content = site.client.get_object(Bucket=site.name, Key=key)["Body"].read()
    site.put(key, content.replace(b":[2,", b":[1,").replace(b'"number":1', b'"number":2'))
    account = site.audit()["edge-1/front"]
    assert account.problems[0] == f"the digest {key} is not valid"
    assert account.proved_until is None or account.proved_until <= THIS_HOUR


def name_prefix(name: DigestName, kind: str) -> str:
    return str(name).rsplit("/", 2)[0] + f"/{kind}/"


def test_a_digest_of_another_camera_is_not_used(site: Site, camera: Camera) -> None:
    """Without signatures too, at least its number has to be that in its name."""
    camera.capture(2)
    other = Camera(site, "back")
    other.capture(9)
    name = other.digest()
    content = site.client.get_object(Bucket=site.name, Key=str(name))["Body"].read()
    site.put(str(name._replace(camera="front", name="000000000007")), content)
    account = site.audit()["edge-1/front"]
    assert f"the digest {name._replace(camera='front', name='000000000007')} is not valid" in (
        account.problems
    )


def test_a_digest_that_was_deleted_is_missed(site: Site, camera: Camera) -> None:
    camera.capture(2)
    camera.digest()
    camera.capture(2)
    name = camera.digest()
    assert site.audit()["edge-1/front"].balanced
    site.delete(str(name))
    assert site.audit()["edge-1/front"].problems == [
        "the newest digest of epoch 0123abcd is older than one that an earlier audit has seen: "
        "someone has deleted digests from the bucket"
    ]


def test_a_day_without_its_digest_is_not_proved(site: Site, camera: Camera) -> None:
    camera.capture(2)
    name = camera.digest()
    found = site.client.list_objects_v2(Bucket=site.name, Prefix=name_prefix(name, "day"))
    (key,) = [entry["Key"] for entry in found["Contents"]]
    site.delete(key)
    account = site.audit()["edge-1/front"]
    assert account.problems[0] == f"the digest {key} is not in the bucket"
    assert account.proved_until == THIS_HOUR.replace(hour=0)


def test_counts_that_do_not_add_up_prove_nothing(site: Site, camera: Camera) -> None:
    camera.capture(2)
    camera.digest(captured=3)
    account = site.audit()["edge-1/front"]
    assert "the counts of the outbox 0123abcd do not add up" in account.problems
    assert account.proved_until is None


def test_records_that_were_removed_from_an_outbox_are_missed(site: Site, camera: Camera) -> None:
    camera.capture(2)
    camera.digest(captured=3, stored=3)
    account = site.audit()["edge-1/front"]
    assert account.problems == [
        "the outbox 0123abcd has records of 2 faces where it should have 3: another program has "
        "changed its file"
    ]


# -- a bucket that lies ------------------------------------------------------------------------


def test_a_bucket_that_lists_out_of_order_is_refused(site: Site, camera: Camera) -> None:
    camera.capture(3)
    camera.digest()

    def shuffle(parsed: dict, **_: object) -> None:
        parsed.get("Contents", []).reverse()

    site.on("after-call", shuffle)
    with pytest.raises(BucketError, match="use an S3 service that lists keys in ascending order"):
        site.audit()


def test_a_bucket_that_answers_for_another_prefix_is_refused(site: Site, camera: Camera) -> None:
    camera.capture(3)
    camera.digest()

    def answer(parsed: dict, **_: object) -> None:
        for entry in parsed.get("Contents", []):
            entry["Key"] = entry["Key"].replace("front", "back")

    site.on("after-call", answer)
    with pytest.raises(BucketError, match="lists digests/edge-1/back/"):
        site.audit()


# -- lines -------------------------------------------------------------------------------------


class Asked:
    def __init__(self, *cameras: Camera) -> None:
        self._cameras = {(camera.camera, camera.epoch): camera for camera in cameras}
        self.hours: list[datetime] = []

    def lines(self, device: str, camera: str, epoch: str, hour: datetime) -> list[Line] | None:
        assert device == "edge-1"
        self.hours.append(hour)
        found = self._cameras.get((camera, epoch))
        return found.lines(hour) if found else None


def test_lines_are_asked_for_only_where_an_hour_differs(site: Site, camera: Camera) -> None:
    camera.capture(5, THIS_HOUR - 3 * HOUR)
    lost = camera.capture(5, THIS_HOUR - 2 * HOUR)[2]
    camera.digest()
    asked = Asked(camera)
    assert site.audit(asker=asked)["edge-1/front"].balanced
    assert asked.hours == []
    site.delete(str(lost))
    site.proofs.forget_before(date.max)
    account = site.audit(asker=asked)["edge-1/front"]
    assert asked.hours == [THIS_HOUR - 2 * HOUR]
    when = hour_named(THIS_HOUR - 2 * HOUR)
    assert account.problems == [
        f"1 confirmed faces of {when} are not in the bucket (numbers {lost.seq})"
    ]


def test_lines_prove_what_the_digest_leaves_open(site: Site, camera: Camera) -> None:
    """A confirmed face is absent, and one that was not confirmed is there."""
    camera.capture(1, state="p", store=True)
    lost = camera.capture(3)[1]
    camera.digest()
    site.delete(str(lost))
    account = site.audit(asker=Asked())["edge-1/front"]  # the device does not answer
    assert account.problems == [
        f"the hour {hour_named(THIS_HOUR)} is not proved, because some of its faces were not "
        "confirmed yet: repeat the audit while the device is connected"
    ]
    assert account.proved_until == THIS_HOUR
    account = site.audit(asker=Asked(camera))["edge-1/front"]
    assert account.missing == 1
    site.put(str(lost))
    assert site.audit(asker=Asked(camera))["edge-1/front"].balanced


def test_proofs_are_in_a_file_that_processes_share(tmp_path: Path) -> None:
    path = tmp_path / "proofs.sqlite"
    day, name = date(2026, 2, 28), DigestName("e", "f", "0123abcd", "day", "2026-02-28-" + "0" * 16)
    digest = Day(day, {7: Hour(1, "0" * 16), 8: Hour(2, "1" * 16)})
    one, two = Proofs(path), Proofs(path)
    one.keep("e/f/0123abcd", name, digest)
    one.prove("e/f/0123abcd", day, {7, 8})
    assert two.proved("e/f/0123abcd", day) == {7, 8}
    assert two.day("e/f/0123abcd", day, name) == digest
    # Of a new digest, the hours that it leaves as they are stay proved.
    other = name._replace(name="2026-02-28-" + "2" * 16)
    two.keep("e/f/0123abcd", other, Day(day, {7: Hour(1, "0" * 16), 8: Hour(3, "1" * 16)}))
    assert one.proved("e/f/0123abcd", day) == {7}
    assert one.day("e/f/0123abcd", day, name) is None
    one.close()
    two.close()
