"""The demo's S3: held against moto's answers, and killed."""

import asyncio
import random
import sys
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from hashlib import md5, sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from support.rig import BUCKET, ROOT, Process, Rig, await_true, free_port, listens, s3

SCRIPT = ROOT / "scripts/embedded_s3"
FACE = b"a face"


@pytest.fixture
def embedded(rig: Rig, tmp_path: Path) -> SimpleNamespace:
    port = free_port()
    file = tmp_path / "s3.sqlite"
    options = [str(SCRIPT), str(file), "--port", str(port)]
    process = Process("embedded", [sys.executable, *options], tmp_path)
    rig.processes.append(process)

    def start() -> None:
        process.start()
        await_true(lambda: listens(port), "S3 listens")

    start()
    endpoint = f"http://127.0.0.1:{port}"
    client = s3(endpoint)
    client.create_bucket(Bucket=BUCKET)
    return SimpleNamespace(
        client=client, endpoint=endpoint, file=file, process=process, start=start
    )


def version(client: Any, status: str) -> None:
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})


def versions(client: Any, **asked: object) -> list[dict]:
    found = client.list_object_versions(Bucket=BUCKET, **asked)
    return [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]


# -- held against moto ---------------------------------------------------------------------------


class Player:
    """Plays the same on an S3 as on another, whose versions have other names."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._names: dict[str, str] = {"null": "null"}

    def _name(self, id: str | None) -> str | None:
        return id and self._names.setdefault(id, f"version {len(self._names)}")

    def play(self, operation: str, **asked: Any) -> object:
        if "VersionId" in asked:
            ids = {name: id for id, name in self._names.items()}
            asked["VersionId"] = ids[asked["VersionId"]]
        try:
            answer = getattr(self._client, operation)(Bucket=BUCKET, **asked)
        except ClientError as error:
            return error.response["Error"]["Code"].replace("NoSuchVersion", "404")
        return {
            # Of an object from before the versions moto names none where S3 says "null".
            "version": self._name(answer.get("VersionId", "null")),
            # moto does not tell that the version it removes is a marker.
            "marker": "VersionId" in asked or answer.get("DeleteMarker"),
            "etag": answer.get("ETag"),
            "sha256": answer.get("ChecksumSHA256"),
            "metadata": answer.get("Metadata"),
            "content": answer["Body"].read() if "Body" in answer else None,
        }

    def versions(self) -> list[tuple]:
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
        found = [
            (one["Key"], self._name(one["VersionId"]), one["IsLatest"], one.get("Size"))
            for page in pages
            for kind in ("Versions", "DeleteMarkers")
            for one in page.get(kind, ())
        ]
        return sorted(found, key=lambda one: one[:2])

    def names(self) -> list[str]:
        return sorted(self._names.values())


def test_objects_and_versions_are_as_motos(embedded: SimpleNamespace, rig: Rig) -> None:
    players = [Player(embedded.client), Player(s3(rig.moto()[1]))]
    chance = random.Random(1)
    for step in range(240):
        if step == 80:  # first without versions, then with; moto fails where they are suspended
            for player in players:
                player.play("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
        key = chance.choice(["faces/a b", "faces/é", "quarantine/x"])
        content = chance.randbytes(chance.randint(1, 40))
        operations = [
            ("put_object", {"Body": content, "Metadata": {"device": "edge-1"}}),
            ("put_object", {"Body": content, "ChecksumAlgorithm": "SHA256"}),
            ("put_object", {"Body": content, "IfNoneMatch": "*"}),
            ("get_object", {}),
            ("head_object", {"ChecksumMode": "ENABLED"}),
            ("delete_object", {"VersionId": chance.choice(players[0].names())}),
        ]
        if isinstance(players[0].play("head_object", Key=key), dict):  # or moto makes no marker
            operations.append(("delete_object", {}))
        operation, asked = chance.choice(operations)
        ours, motos = (player.play(operation, Key=key, **asked) for player in players)
        assert ours == motos, (step, operation, key, asked)
        if step % 8 == 7:
            assert players[0].versions() == players[1].versions(), step


def test_every_page_is_as_motos(embedded: SimpleNamespace, rig: Rig) -> None:
    clients = [embedded.client, s3(rig.moto()[1])]
    chance = random.Random(7)
    parts = ["faces", "quarantine", "a", "b", "a b", "é", "z-1", "\U0001f600"]
    names = sorted({"/".join(chance.choices(parts, k=chance.randint(1, 4))) for _ in range(100)})
    chance.shuffle(names)
    for client in clients:
        for name in names:
            client.put_object(Bucket=BUCKET, Key=name, Body=FACE)
        for name in names[:20]:
            client.delete_object(Bucket=BUCKET, Key=name)
    for _ in range(60):
        asked = {
            "Prefix": chance.choice(["", "faces/", "a", "fac", "none", *names[:9]]),
            "Delimiter": chance.choice(["", "/", "/a"]),
            "MaxKeys": chance.choice([1, 3, 1000]),
        }
        after = chance.choice(["", "faces/", "b", *names[:9]])
        ours, motos = (pages(client, StartAfter=after, **asked) for client in clients)
        assert ours == motos, (after, asked)


def pages(client: Any, **asked: object) -> list[list[str]]:
    """Keys and folders of the first pages."""
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **asked):
        keys = [one["Key"] for one in page.get("Contents", ())]
        folders = [one["Prefix"] for one in page.get("CommonPrefixes", ())]
        found.append([*keys, *folders])
        if len(found) == 5:
            break
    return found


# -- what moto does not have ---------------------------------------------------------------------


def test_suspended_versions_keep_the_former(embedded: SimpleNamespace) -> None:
    client, key = embedded.client, {"Bucket": BUCKET, "Key": "a"}
    version(client, "Enabled")
    former = client.put_object(**key, Body=FACE)["VersionId"]
    version(client, "Suspended")
    for content in (b"1", b"2"):
        assert client.put_object(**key, Body=content)["VersionId"] == "null"
    assert [one["VersionId"] for one in versions(client)] == ["null", former]
    assert client.delete_object(**key)["VersionId"] == "null"  # a marker in its place
    assert [(one["VersionId"], one["IsLatest"]) for one in versions(client)] == [
        (former, False),
        ("null", True),
    ]
    with pytest.raises(ClientError, match="MethodNotAllowed"):
        client.get_object(**key, VersionId="null")
    client.delete_object(**key, VersionId="null")
    assert client.get_object(**key)["Body"].read() == FACE


def test_a_folder_of_deleted_objects_is_not_listed(embedded: SimpleNamespace) -> None:
    client = embedded.client
    version(client, "Enabled")
    for key in ("a/1", "b/1", "c"):
        client.put_object(Bucket=BUCKET, Key=key, Body=FACE)
    for key in ("a/1", "c"):
        client.delete_object(Bucket=BUCKET, Key=key)
    assert pages(client, Delimiter="/") == [["b/"]]


def test_pages_of_versions_are_the_whole(embedded: SimpleNamespace) -> None:
    client = embedded.client
    version(client, "Enabled")
    for name in ("a/1", "a/2", "b", "c/1"):
        for _ in range(3):
            client.put_object(Bucket=BUCKET, Key=name, Body=FACE)
        client.delete_object(Bucket=BUCKET, Key=name)
    whole = [(one["Key"], one["VersionId"]) for one in versions(client)]
    assert len(whole) == 16
    pages = client.get_paginator("list_object_versions").paginate
    found = []
    for page in pages(Bucket=BUCKET, PaginationConfig={"PageSize": 3}):
        entries = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        assert len(entries) <= 3
        found += [(one["Key"], one["VersionId"]) for one in entries]
    assert sorted(found) == sorted(whole)
    folders = [
        one["Prefix"]
        for page in pages(Bucket=BUCKET, Delimiter="/", PaginationConfig={"PageSize": 1})
        for one in page.get("CommonPrefixes", ())
    ]
    assert folders == ["a/", "c/"]


def test_a_page_goes_on_where_its_last_version_was_deleted(embedded: SimpleNamespace) -> None:
    client = embedded.client
    for status in ("Suspended", "Enabled"):
        version(client, status)
        client.put_object(Bucket=BUCKET, Key="a", Body=FACE)
    client.put_object(Bucket=BUCKET, Key="b", Body=FACE)
    seen = []
    for page in client.get_paginator("list_object_versions").paginate(
        Bucket=BUCKET, PaginationConfig={"PageSize": 1}
    ):
        [one] = page["Versions"]
        seen.append(one["Key"])
        client.delete_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
    assert seen == ["a", "a", "b"]
    client.delete_bucket(Bucket=BUCKET)


def test_content_that_came_broken_is_refused(embedded: SimpleNamespace) -> None:
    put = {"Bucket": BUCKET, "Key": "faces/a/1"}
    for broken in (
        {"ContentMD5": b64encode(md5(b"another").digest()).decode()},
        {"ChecksumSHA256": b64encode(sha256(b"another").digest()).decode()},
        {"ChecksumCRC32": "AAAAAA=="},
    ):
        with pytest.raises(ClientError, match="BadDigest"):
            embedded.client.put_object(**put, Body=FACE, **broken)
    assert versions(embedded.client) == []


def test_what_it_cannot_do_changes_nothing(embedded: SimpleNamespace) -> None:
    client, key = embedded.client, {"Bucket": BUCKET, "Key": "faces/a/1"}
    client.put_object(**key, Body=FACE)
    for operation in (
        lambda: client.put_object_acl(**key, ACL="public-read"),
        lambda: client.put_object_tagging(**key, Tagging={"TagSet": []}),
        lambda: client.copy_object(**key, CopySource=f"{BUCKET}/x"),
        lambda: client.create_multipart_upload(**key),
        lambda: client.put_object(**key, Body=b"other", IfMatch="x"),
        lambda: client.list_objects(Bucket=BUCKET),
    ):
        with pytest.raises(ClientError, match="NotImplemented"):
            operation()
    assert client.get_object(**key)["Body"].read() == FACE


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 403), ({"Authorization": "AWS4-HMAC-SHA256 x", "Host": "evil.example.com"}, 400)],
)
def test_a_page_in_a_browser_gets_nothing(
    embedded: SimpleNamespace, headers: dict[str, str], status: int
) -> None:
    url = f"{embedded.endpoint}/{BUCKET}?delete"
    body = b"<Delete><Object><Key>faces/a/1</Key></Object></Delete>"
    embedded.client.put_object(Bucket=BUCKET, Key="faces/a/1", Body=FACE)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, body, headers))
    refused.value.close()
    assert refused.value.code == status
    assert len(versions(embedded.client)) == 1


def test_the_file_is_its_users_alone(embedded: SimpleNamespace) -> None:
    modes = [file.stat().st_mode & 0o777 for file in embedded.file.parent.glob("s3.sqlite*")]
    assert set(modes) == {0o600}


# -- killed --------------------------------------------------------------------------------------


def test_a_kill_takes_nothing_that_was_answered(embedded: SimpleNamespace) -> None:
    """Four writers put, put again and delete; each notes what was answered."""
    version(embedded.client, "Enabled")
    embedded.client.put_bucket_tagging(
        Bucket=BUCKET, Tagging={"TagSet": [{"Key": "facefleet", "Value": BUCKET}]}
    )
    expected: dict[str, str | None] = {}  # version to its ETag; None: deleted
    maybe: set[str] = set()  # deletions that were not answered
    ended = threading.Event()

    def write(worker: int) -> None:
        client, mine = s3(embedded.endpoint), []
        for number in range(1_000_000):
            if ended.is_set():
                return
            key = f"faces/{worker}/{number % 50}"
            try:
                if number % 5 == 4 and mine:
                    key, id = mine.pop(0)
                    maybe.add(id)
                    client.delete_object(Bucket=BUCKET, Key=key, VersionId=id)
                    maybe.discard(id)
                    expected[id] = None
                else:
                    content = f"{worker} {number}".encode() * 400
                    answer = client.put_object(Bucket=BUCKET, Key=key, Body=content)
                    expected[answer["VersionId"]] = answer["ETag"]
                    mine.append((key, answer["VersionId"]))
            except BotoCoreError:  # not answered: it may be there, or not
                continue

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        goal = len(expected) + 60
        await_true(lambda goal=goal: len(expected) >= goal, "more was written")
        embedded.process.kill()
        embedded.start()
    ended.set()
    for writer in writers:
        writer.join()

    found = {
        one["VersionId"]: (one["Key"], one["ETag"])
        for page in embedded.client.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
        for one in page.get("Versions", ())
    }
    for id, etag in expected.items():
        if id in maybe:
            continue
        assert (found[id][1] if id in found else None) == etag
    for id, (key, etag) in found.items():  # whole, also where it was not answered
        content = embedded.client.get_object(Bucket=BUCKET, Key=key, VersionId=id)["Body"].read()
        assert f'"{md5(content).hexdigest()}"' == etag
    tags = embedded.client.get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    assert tags == [{"Key": "facefleet", "Value": BUCKET}]


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(SCRIPT)
    import storage

    yield storage
    del sys.modules["storage"]


def test_a_full_disk_is_told(storage: Any, tmp_path: Path) -> None:
    async def fill() -> None:
        store = storage.Storage(tmp_path / "s3.sqlite")
        store._writer.execute("PRAGMA max_page_count = 20")
        await store.create_bucket("b", "us-east-1")
        await store.put("b", storage.New("small", FACE, '"x"', "{}", True))
        with pytest.raises(storage.S3Error) as told:
            await store.put("b", storage.New("large", bytes(1 << 20), '"x"', "{}", True))
        assert (told.value.status, told.value.code) == (507, "InsufficientStorage")
        assert [one.key for one in store.listing("b", "", "", "", 9)] == ["small"]
        store.close()

    asyncio.run(fill())


def test_a_page_costs_what_it_shows(storage: Any, tmp_path: Path) -> None:
    """100,000 objects of 100 cameras: a page, and the folders, in few steps of SQLite's."""
    store = storage.Storage(tmp_path / "s3.sqlite")
    store._writer.execute("INSERT INTO buckets VALUES ('b', 'us-east-1', 0)")
    store._writer.execute(
        "INSERT INTO versions (bucket, key, unversioned, latest, marker, size, etag, stored,"
        " headers, content) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 99999) SELECT 'b', printf('faces/%02d/%05d', i % 100, i), 1, 1, 0, 1, '', 0,"
        " '{}', zeroblob(100) FROM n"
    )
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 100

    store._reader.set_progress_handler(count, 100)
    assert len(store.listing("b", "faces/", "/", "", 1000)) == 100
    assert len(store.listing("b", "faces/07/", "", "faces/07/50000", 100)) == 100
    assert steps < 30_000
    store.close()
