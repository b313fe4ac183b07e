"""The demo's S3: moto with listings of its own, held against moto's."""

import pickle
import random
import runpy
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend

from lab.rig import BUCKET, ROOT, Process, Rig, await_true, free_port, listens, s3

SCRIPT = ROOT / "scripts/embedded_s3.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    module = ModuleType("embedded_s3")
    module.__dict__.update(runpy.run_path(str(SCRIPT), run_name="embedded_s3"))
    monkeypatch.setitem(sys.modules, "embedded_s3", module)
    return module


def key(name: str) -> FakeKey:
    return FakeKey(name, b"a face", "123456789012", "us-east-1")


def buckets(script: ModuleType, names: list[str]) -> tuple[FakeBucket, FakeBucket]:
    """The same objects as moto keeps them, and as the script does."""
    pair = [FakeBucket("b", "123456789012", "us-east-1") for _ in range(2)]
    pair[1].keys = script.SortedKeyStore()
    for bucket in pair:
        for name in names:
            bucket.keys[name] = key(name)
    return tuple(pair)


def name(one: FakeKey | str) -> str:
    return one if isinstance(one, str) else one.name


def test_every_page_is_as_motos(script: ModuleType) -> None:
    chance = random.Random(7)
    parts = ["faces", "quarantine", "a", "b", "a b", "é", "z-1"]
    names = sorted({"/".join(chance.choices(parts, k=chance.randint(1, 4))) for _ in range(300)})
    chance.shuffle(names)
    moto, ours = buckets(script, names)
    for bucket in (moto, ours):
        for gone in names[:40]:
            bucket.keys.pop(gone)
        for marked in names[40:60]:
            bucket.keys[marked] = FakeDeleteMarker(bucket.keys[marked])
    backend = S3Backend("us-east-1", "123456789012")
    for _ in range(400):
        asked = {
            "prefix": chance.choice([None, "", "faces/", "a", "fac", "none", *names[:9]]),
            "delimiter": chance.choice([None, "/"]),
            "continuation_token": None,
            "start_after": chance.choice([None, "faces/", "b", *names[:9]]),
            "max_keys": chance.choice([1, 3, 1000]),
        }
        pages = [
            (backend.list_objects_v2(moto, **asked)),
            (script.list_objects_v2(backend, ours, **asked)),
        ]
        wanted, found = [([name(one) for one in page[0]], page[1]) for page in pages]
        assert found == wanted, asked


def test_a_page_costs_what_it_shows(script: ModuleType) -> None:
    _, bucket = buckets(script, [f"faces/{day}/{n:04}" for day in range(20) for n in range(100)])
    looked = count()

    class Counting(script.SortedKeyStore):
        def __getitem__(self, key: str) -> object:
            next(looked)
            return super().__getitem__(key)

    bucket.keys.__class__ = Counting
    backend = S3Backend("us-east-1", "123456789012")
    page = {"continuation_token": None, "start_after": None}
    script.list_objects_v2(backend, bucket, "faces/7/", None, max_keys=10, **page)
    script.list_objects_v2(backend, bucket, "faces/", "/", max_keys=1000, **page)
    assert next(looked) == 11


def test_every_version_is_written_down(script: ModuleType) -> None:
    store = script.SortedKeyStore()
    for one in ("b", "a", "b"):
        store[one] = one.upper()
    again = pickle.loads(pickle.dumps(store))
    assert list(again.lists()) == [("b", ["B", "B"]), ("a", ["A"])]
    assert again.names == ["a", "b"]


def test_a_bucket_outlives_a_stop(rig: Rig, tmp_path: Path) -> None:
    port = free_port()
    options = [str(tmp_path / "s3.pickle"), "-H", "127.0.0.1", "-p", str(port)]
    server = Process("embedded", [sys.executable, str(SCRIPT), *options], tmp_path)
    rig.processes.append(server)
    client = s3(f"http://127.0.0.1:{port}")
    server.start()
    await_true(lambda: listens(port), "S3 listens", 60)
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="faces/a/1", Body=b"a face")
    assert server.stop(30) == 0
    server.start()
    await_true(lambda: listens(port), "S3 listens again", 60)
    found = client.list_objects_v2(Bucket=BUCKET, Prefix="faces/", Delimiter="/")
    assert [one["Prefix"] for one in found["CommonPrefixes"]] == ["faces/a/"]
    assert client.get_object(Bucket=BUCKET, Key="faces/a/1")["Body"].read() == b"a face"
