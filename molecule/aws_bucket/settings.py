"""Check a bucket's settings as S3 tells them: `settings.py ENDPOINT REGION BUCKET`."""

import json
import sys

import boto3

endpoint, region, bucket = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=endpoint, region_name=region)

blocks = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
assert len(blocks) == 4, blocks
assert all(blocks.values()), blocks

(rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256", rule

(statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
assert statement["Effect"] == "Deny", statement
assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, statement

rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
expiry = {r["Filter"]["Prefix"]: (r["Status"], r["Expiration"]["Days"]) for r in rules}
assert expiry == {"": ("Enabled", 30)}, rules
