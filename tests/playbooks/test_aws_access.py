"""What the VM may do: each action of the services is tried, and many that are not theirs."""

import pytest
from botocore.exceptions import ClientError
from facefleet.bucket import Bucket, BucketError
from facefleet.store import Store

from support.playbooks import REGION

BUCKET, READLESS = "access-faces", "readless-faces"
FACE = "faces/edge-1/front/2026/01/01/000000.000000-a-1-b.jpg"
KMS_KEY = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def buckets(aws):
    for name in (BUCKET, READLESS, "other-bucket"):
        s3 = aws.client("s3")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        for key in (FACE, "quarantine/ready", "elsewhere/a"):
            s3.put_object(Bucket=name, Key=key, Body=b"face")


@pytest.fixture(scope="module")
def credentials(aws, buckets, roles):
    """Of the VM of a fleet with a gallery, of one without, and of one with a KMS key."""
    fleets = {
        BUCKET: {},
        READLESS: {"aws_access_allow_read": False},
        "kms-faces": {"facefleet_kms_key_arn": KMS_KEY},
        "kms-readless": {"facefleet_kms_key_arn": KMS_KEY, "aws_access_allow_read": False},
    }
    said = roles(
        {
            name: {"role": "aws_access", "facefleet_bucket": name, **more}
            for name, more in fleets.items()
        }
    )
    assert set(said.values()) == {""}, said
    return {name: aws.assume(f"arn:aws:iam::123456789012:role/{name}") for name in fleets}


def put(key, bucket=BUCKET):
    return ("s3", "put_object", {"Bucket": bucket, "Key": key, "Body": b"face", "IfNoneMatch": "*"})


def get(key, bucket=BUCKET):
    return ("s3", "get_object", {"Bucket": bucket, "Key": key})


def listing(bucket=BUCKET, **more):
    return ("s3", "list_objects_v2", {"Bucket": bucket, **more})


KEY = {"KeyId": KMS_KEY}
ALLOWED = {
    BUCKET: [
        put("faces/edge-1/new"),
        put("quarantine/edge-1/new"),
        listing(Prefix="faces/", Delimiter="/"),
        listing(Prefix="faces/edge-1/front/", StartAfter="faces/edge-1/front/2026"),
        listing(Prefix="quarantine/edge-1/one"),
        get(FACE),
    ],
    READLESS: [put("faces/edge-1/new", READLESS), listing(READLESS, Prefix="faces/")],
    "kms-faces": [
        ("kms", "generate_data_key", {**KEY, "KeySpec": "AES_256"}),
        ("kms", "decrypt", {**KEY, "CiphertextBlob": b"a"}),
    ],
    "kms-readless": [("kms", "generate_data_key", {**KEY, "KeySpec": "AES_256"})],
}
DENIED = {
    BUCKET: [
        put("elsewhere/new"),
        put("erased/2026-01-02T030405.000000Z/edge-1/all."),
        put("faces"),
        put("faces/edge-1/new", "other-bucket"),
        get("quarantine/ready"),
        get("elsewhere/a"),
        get(FACE, "other-bucket"),
        listing(),
        listing(Prefix=""),
        listing(Prefix="face"),
        listing(Prefix="quarantin"),
        listing(Prefix="erased/"),
        listing("other-bucket", Prefix="faces/"),
        ("s3", "list_object_versions", {"Bucket": BUCKET, "Prefix": "faces/"}),
        ("s3", "list_buckets", {}),
        ("s3", "delete_object", {"Bucket": BUCKET, "Key": FACE}),
        ("s3", "delete_bucket", {"Bucket": BUCKET}),
        ("s3", "get_object_tagging", {"Bucket": BUCKET, "Key": FACE}),
        ("s3", "put_object_tagging", {"Bucket": BUCKET, "Key": FACE, "Tagging": {"TagSet": []}}),
        ("s3", "put_object_acl", {"Bucket": BUCKET, "Key": FACE, "ACL": "public-read"}),
        ("s3", "get_bucket_policy", {"Bucket": BUCKET}),
        ("s3", "put_bucket_policy", {"Bucket": BUCKET, "Policy": "{}"}),
        ("s3", "delete_bucket_policy", {"Bucket": BUCKET}),
        (
            "s3",
            "put_bucket_versioning",
            {"Bucket": BUCKET, "VersioningConfiguration": {"Status": "Suspended"}},
        ),
        ("s3", "delete_public_access_block", {"Bucket": BUCKET}),
        (
            "s3",
            "create_bucket",
            {"Bucket": "new-bucket", "CreateBucketConfiguration": {"LocationConstraint": REGION}},
        ),
        ("iam", "create_user", {"UserName": "somebody"}),
        ("iam", "create_access_key", {"UserName": "somebody"}),
        (
            "iam",
            "attach_role_policy",
            {"RoleName": BUCKET, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
        ),
        ("ec2", "describe_instances", {}),
        ("ec2", "run_instances", {"ImageId": "ami-785db401", "MinCount": 1, "MaxCount": 1}),
        ("ssm", "get_parameter", {"Name": "/a"}),
        ("kms", "decrypt", {**KEY, "CiphertextBlob": b"a"}),
        (
            "sts",
            "assume_role",
            {"RoleArn": f"arn:aws:iam::123456789012:role/{READLESS}", "RoleSessionName": "test"},
        ),
    ],
    READLESS: [get(FACE, READLESS), put("elsewhere/new", READLESS), listing(READLESS)],
    "kms-readless": [("kms", "decrypt", {**KEY, "CiphertextBlob": b"a"})],
    "kms-faces": [
        ("kms", "encrypt", {**KEY, "Plaintext": b"a"}),
        ("kms", "schedule_key_deletion", KEY),
    ],
}
REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}


@pytest.mark.timeout(600)
def test_every_action(aws, credentials, enforced):
    def refused(fleet, service, call, arguments):
        try:
            getattr(aws.client(service, credentials[fleet]), call)(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"] in REFUSED
        return False

    tried = {
        wanted: {
            (fleet, *map(str, one)): refused(fleet, *one)
            for fleet, ones in table.items()
            for one in ones
        }
        for wanted, table in (("allowed", ALLOWED), ("denied", DENIED))
    }
    assert [one for one, no in tried["allowed"].items() if no] == []
    assert [one for one, no in tried["denied"].items() if not no] == []


@pytest.mark.timeout(600)
def test_the_services(aws, credentials, enforced, monkeypatch):
    """The doors of processor and gallery, as they are."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    for fleet in (BUCKET, READLESS):
        mine = credentials[fleet]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", mine["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", mine["SecretAccessKey"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", mine["SessionToken"])
        failures = []
        store = Store(fleet, parallel=2, on_unavailable=failures.append)
        for key in ("quarantine/edge-1/one", "faces/edge-1/front/one"):
            for new in (True, False):
                put = store.create(key, b"face", {"Content-Type": "image/jpeg"})
                assert put.result(20).new is new, failures
        assert failures == []

    gallery = Bucket(aws.client("s3", credentials[BUCKET]), BUCKET)
    gallery.check()
    assert gallery.folders("faces/", 10) == ["faces/edge-1/"]
    assert FACE in [entry.key for entry in gallery.page("faces/edge-1/front/").entries]
    assert gallery.read(FACE).content == b"face"


@pytest.mark.timeout(600)
def test_a_face_that_is_gone_is_told_from_one_that_may_not_be_read(aws, credentials, enforced):
    """S3 says 403 of both to whom may not list all; here because neither may be read."""
    gallery = Bucket(aws.client("s3", credentials[READLESS]), READLESS)
    assert gallery.read("faces/edge-1/front/gone.jpg") is None
    with pytest.raises(BucketError, match="denies access: allow s3:ListBucket and s3:GetObject"):
        gallery.read(FACE)
