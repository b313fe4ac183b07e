"""A bucket of which faces were erased is still the fleet's."""

import pytest

from support.playbooks import play

BUCKET = "erased-faces"
RECORD = "erased/2026-01-02T030405.000000Z/edge-1/all."


@pytest.mark.timeout(300)
def test_the_record_of_an_erasure_stays(aws, fleet, roles):
    s3 = aws.client("s3")

    def buckets():
        return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}

    def make():
        storage = {"role": "aws_storage", "facefleet_bucket": BUCKET}
        return roles(
            {BUCKET: {**storage, "facefleet_s3_require_tls": False}}
        )  # the server has none

    assert make() == {BUCKET: ""}
    s3.put_object(Bucket=BUCKET, Key=RECORD)
    assert make() == {BUCKET: ""}
    expiring = [
        rule["Filter"]["Prefix"]
        for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
        if "Days" in rule.get("Expiration", {})
    ]
    assert sorted(expiring) == ["faces/", "quarantine/"]

    inventory, teardown = fleet(BUCKET), "playbooks/teardown_aws.yml"
    kept = play(teardown, inventory, "-e", "facefleet_confirm=yes")
    assert kept.code == 0, kept.output
    words = "Keep records unless -e facefleet_delete_faces=yes, bucket "
    assert words + BUCKET in kept.flat
    assert BUCKET in buckets()

    gone = play(
        teardown, inventory, "-e", "facefleet_confirm=yes", "-e", "facefleet_delete_faces=yes"
    )
    assert gone.code == 0, gone.output
    assert BUCKET not in buckets()
