"""The S3 server of support.s3, spoken to by the clients that the app uses."""

from queue import Queue

import pytest
from botocore.exceptions import ClientError
from facefleet.store import RefusedError, Store, UnavailableError

from support.rig import AWS, BUCKET, Rig, keys, s3


@pytest.fixture
def endpoint(rig: Rig) -> str:
    return rig.s3()[1]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch):
    """Makes a Store at an endpoint."""

    def at(endpoint: str, on_unavailable=lambda _: None) -> Store:
        for name, value in {**AWS, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(name, value)
        return Store(BUCKET, 8, on_unavailable)

    return at


def test_boto3_speaks_to_it(endpoint: str) -> None:
    client = s3(endpoint)
    key = "faces/a b+c&d/é.jpg"
    client.put_object(
        Bucket=BUCKET, Key=key, Body=b"x" * 6000, ContentType="image/jpeg", Metadata={"reason": "y"}
    )
    head = client.head_object(Bucket=BUCKET, Key=key)
    assert (head["ContentLength"], head["ContentType"]) == (6000, "image/jpeg")
    assert head["Metadata"] == {"reason": "y"}
    got = client.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == b"x" * 6000
    assert got["ETag"] == head["ETag"]
    assert keys(endpoint) == [key]
    client.delete_object(Bucket=BUCKET, Key=key)
    assert keys(endpoint) == []
    with pytest.raises(ClientError) as refused:
        client.get_object(Bucket=BUCKET, Key=key)
    assert refused.value.response["Error"]["Code"] == "NoSuchKey"


def test_a_missing_bucket_is_said_to_be_missing(endpoint: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3(endpoint).put_object(Bucket="another", Key="k", Body=b"")
    assert refused.value.response["Error"]["Code"] == "NoSuchBucket"


def test_lists_come_in_pages(endpoint: str) -> None:
    client = s3(endpoint)
    for n in range(7):
        client.put_object(Bucket=BUCKET, Key=f"faces/{n}", Body=b"")
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="faces/", PaginationConfig={"PageSize": 3}
    )
    found = [[entry["Key"] for entry in page["Contents"]] for page in pages]
    assert [len(page) for page in found] == [3, 3, 1]
    assert [key for page in found for key in page] == [f"faces/{n}" for n in range(7)]


@pytest.mark.parametrize("server", ["s3", "moto"])
def test_a_create_only_put_succeeds_once(rig: Rig, server: str, store) -> None:
    """As moto has it, so ours must."""
    endpoint = getattr(rig, server)()[1]
    client = s3(endpoint)
    client.put_object(Bucket=BUCKET, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=BUCKET, Key="k", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    bucket = store(endpoint)
    assert not bucket.create("k", b"first", {}).result(10).new
    with pytest.raises(RefusedError):
        bucket.create("k", b"third", {}).result(10)
    assert client.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"first"


def test_of_many_creates_at_a_time_one_succeeds(rig: Rig, store) -> None:
    control, endpoint = rig.s3()
    control.fault(delay=0.2)
    bucket = store(endpoint)
    puts = [bucket.create("faces/k", b"a face", {}) for _ in range(8)]
    assert sorted(put.result(10).new for put in puts) == 7 * [False] + [True]
    assert control.counters() == {"puts": 8, "conflicts": 7}


def test_faults_come_and_go(rig: Rig, store) -> None:
    control, endpoint = rig.s3()
    failures: Queue[UnavailableError] = Queue()
    bucket = store(endpoint, failures.put)
    bucket.probed.result(10)
    control.fault(status=503)
    put = bucket.create("faces/k", b"", {})
    assert "503" in str(failures.get(timeout=10))
    control.fault(status=0)
    assert put.result(10).new
    assert control.counters() == {"puts": 2, "conflicts": 0}
