"""What is said of a bucket that cannot be listed or read."""

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from facefleet.bucket import Bucket, BucketError


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (404, "NoSuchBucket", "does not exist: create it (site.yml does), or correct"),
        (403, "AccessDenied", "denies access: allow s3:ListBucket and s3:GetObject for these"),
        (403, "SignatureDoesNotMatch", "refuses the signature: correct AWS_SECRET_ACCESS_KEY"),
        (403, "RequestTimeTooSkewed", "rejects requests signed with a wrong time"),
        (400, "ExpiredToken", "refuses expired credentials: renew them"),
        (301, "PermanentRedirect", "is in another region: set AWS_REGION"),
        (503, "SlowDown", "receives too many requests"),
        (400, "KMS.DisabledException", "cannot use its KMS key"),
        (500, "InternalError", "responds with 500 InternalError"),
    ],
)
def test_an_error_of_s3_is_one_sentence(status: int, code: str, sentence: str) -> None:
    client = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    told: list[str | None] = []
    bucket = Bucket(client, "my-faces", on_answer=told.append)
    looks = {
        bucket.check: ["list_objects_v2"],
        lambda: bucket.folders("faces/", 1): ["list_objects_v2"],
        # Who is denied an object is asked whether it is there.
        lambda: bucket.read("faces/a"): ["get_object", "list_objects_v2"],
    }
    for look, requests in looks.items():
        with Stubber(client) as stub:
            for request in requests:
                stub.add_client_error(request, code, http_status_code=status)
            with pytest.raises(BucketError) as raised:
                look()
        assert str(raised.value).startswith(f"bucket my-faces {sentence}")
        assert told.pop() == str(raised.value)


def test_an_s3_that_is_away_is_one_sentence() -> None:
    class Away:
        def list_objects_v2(self, **_: object) -> None:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")

    with pytest.raises(BucketError, match=r"^bucket my-faces cannot be reached \(Could not"):
        Bucket(Away(), "my-faces").check()
