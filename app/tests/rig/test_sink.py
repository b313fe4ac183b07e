"""The sink the benchmark measures against, as the clients see it that are measured."""

import json
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError
from facefleet.store import Store

from support.rig import AWS, BUCKET, Rig, s3

FACE = b"\xff\xd8\xff" + bytes(6000) + b"\xff\xd9"


def totals(endpoint: str) -> dict[str, int]:
    with urllib.request.urlopen(endpoint, timeout=5) as answer:
        return json.load(answer)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch):
    def at(endpoint: str) -> Store:
        for name, value in {**AWS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        return Store(BUCKET, 32, lambda _: None)

    return at


def test_the_store_and_boto3_agree_on_what_is_there(rig: Rig, store) -> None:
    _, endpoint = rig.sink()
    client = s3(endpoint)

    def create(key: str) -> bool:
        put = store(endpoint).create(key, FACE, {"Content-Type": "image/jpeg"})
        return put.result(10).new

    assert create("faces/one.jpg")
    assert not create("faces/one.jpg")
    client.put_object(Bucket=BUCKET, Key="faces/two.jpg", Body=FACE, IfNoneMatch="*")
    assert not create("faces/two.jpg")
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=BUCKET, Key="faces/one.jpg", Body=FACE, IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    client.put_object(Bucket=BUCKET, Key="faces/one.jpg", Body=FACE)  # no condition: replaced
    client.head_object(Bucket=BUCKET, Key="faces/one.jpg")
    with pytest.raises(ClientError):
        client.head_object(Bucket=BUCKET, Key="faces/three.jpg")
    # Each store creates the probe; the first one twice.
    assert totals(endpoint) == {"objects": 3, "puts": 10, "bytes": 2 * len(FACE) + len("ready\n")}


def test_a_slow_sink_is_slow_for_each_put_and_not_for_all_together(rig: Rig, store) -> None:
    _, endpoint = rig.sink(seconds=0.2)

    bucket = store(endpoint)
    bucket.probed.result(10)
    keys = ["a", "a", *map(str, range(20))]
    started = time.monotonic()
    done = [bucket.create(key, FACE, {}) for key in keys]
    new = [one.result(10).new for one in done]
    assert 0.2 <= time.monotonic() - started < 2  # 22 PUTs in a row would be 4.4 s
    assert sorted(new[:2]) == [False, True]
    assert all(new[2:])
    assert totals(endpoint)["objects"] == 22  # the probe too


def test_large_bodies_and_small_ones_on_one_connection(rig: Rig) -> None:
    _, endpoint = rig.sink()
    client = s3(endpoint)
    sizes = [0, 1, 3_000_000, 2, 70_000]
    for size in sizes:
        client.put_object(Bucket=BUCKET, Key=f"{size}", Body=bytes(size))
    assert totals(endpoint) == {"objects": 5, "puts": 5, "bytes": sum(sizes)}
