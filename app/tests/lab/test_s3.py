"""The lab's S3 server, spoken to by the clients that the app uses."""

import asyncio

import obstore
import pytest
from botocore.exceptions import ClientError
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from lab.rig import AWS, BUCKET, Rig, keys, s3


@pytest.fixture
def endpoint(rig: Rig) -> str:
    return rig.s3()[1]


def store(endpoint: str) -> S3Store:
    return S3Store(
        BUCKET,
        endpoint=endpoint,
        client_options={"allow_http": True},
        access_key_id=AWS["AWS_ACCESS_KEY_ID"],
        secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
        region=AWS["AWS_REGION"],
        retry_config={"max_retries": 0},
    )


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
def test_a_create_only_put_succeeds_once(rig: Rig, server: str) -> None:
    """As moto has it, so ours must: 412 with boto3's and obstore's words for it."""
    endpoint = getattr(rig, server)()[1]
    client, other = s3(endpoint), store(endpoint)
    client.put_object(Bucket=BUCKET, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=BUCKET, Key="k", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(AlreadyExistsError, match="412"):
        obstore.put(other, "k", b"third", mode="create", use_multipart=False)
    assert client.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"first"


def test_of_many_creates_at_a_time_one_succeeds(rig: Rig) -> None:
    control, endpoint = rig.s3()
    other = store(endpoint)
    control.fault(delay=0.2)

    async def race() -> list:
        puts = (
            obstore.put_async(other, "faces/k", b"%d" % n, mode="create", use_multipart=False)
            for n in range(8)
        )
        return await asyncio.gather(*puts, return_exceptions=True)

    lost = [one for one in asyncio.run(race()) if isinstance(one, AlreadyExistsError)]
    assert len(lost) == 7
    assert control.counters() == {"puts": 8, "conflicts": 7}


def test_faults_come_and_go(rig: Rig) -> None:
    control, endpoint = rig.s3()
    control.fault(status=503)
    with pytest.raises(BaseError, match="503"):
        obstore.put(store(endpoint), "faces/k", b"", mode="create", use_multipart=False)
    control.fault(status=0)
    obstore.put(store(endpoint), "faces/k", b"", mode="create", use_multipart=False)
    assert control.counters() == {"puts": 2, "conflicts": 0}
