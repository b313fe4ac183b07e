"""Gather information about a bucket without changing anything."""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = """
module: bucket_info
short_description: Gather information about a bucket
description:
  - Returns whether a bucket exists, who owns it, and what it contains. Changes nothing.
author: The facefleet authors
options:
  name:
    description: The bucket's name.
    type: str
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: Gather the bucket
  facefleet.facefleet.bucket_info:
    name: my-fleet-faces
    region: eu-central-1
  register: bucket
"""

RETURN = """
exists:
  description: Whether a bucket of this name exists, in any account.
  type: bool
ours:
  description: Whether the bucket belongs to this account.
  type: bool
region:
  description: Its region. Empty if it belongs to another account.
  type: str
tagged:
  description: Whether it has facefleet's tag.
  type: bool
keeps_tags:
  description: Whether the S3 supports tags.
  type: bool
empty:
  description: Whether it holds no objects, not even deleted ones.
  type: bool
faces:
  description: Whether it holds faces or quarantined messages, including deleted ones.
  type: bool
records:
  description: Whether it holds records of erasures, including deleted ones.
  type: bool
others:
  description: The first few names of other objects.
  type: list
"""

PICTURES = {"faces/", "quarantine/"}
RECORDS = "erased/"
READY = "quarantine/ready"  # the processor's test object
NOTHING = {
    "exists": False,
    "ours": False,
    "region": "",
    "tagged": False,
    "keeps_tags": True,
    "empty": True,
    "faces": False,
    "records": False,
    "others": [],
}


def look(s3, name):
    mine = {bucket["Name"] for bucket in s3.list_buckets(aws_retry=True)["Buckets"]}
    if name not in mine:
        return {**NOTHING, "exists": answers(s3, name)}
    found = tags(s3, name)
    region = s3.get_bucket_location(aws_retry=True, Bucket=name)["LocationConstraint"]
    return {
        "exists": True,
        "ours": True,
        "region": region or "us-east-1",
        "tagged": found is not None and found.get("facefleet") == name,
        "keeps_tags": found is not None,
        **content(s3, name),
    }


def answers(s3, name):
    """Return whether the name is taken: S3 then denies access, or names another region."""
    try:
        s3.head_bucket(Bucket=name)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] != 404
    return True


def tags(s3, name):
    """Return None if S3 keeps none."""
    try:
        found = s3.get_bucket_tagging(aws_retry=True, Bucket=name)["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchTagSet":
            return {}
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (405, 501):
            return None
        raise
    return {tag["Key"]: tag["Value"] for tag in found}


def content(s3, name):
    """Count with a few requests, whatever the size. Versions count, as they can be restored."""
    top = s3.list_object_versions(aws_retry=True, Bucket=name, Delimiter="/")
    prefixes = {entry["Prefix"] for entry in top.get("CommonPrefixes", ())}
    keys = {entry["Key"] for kind in ("Versions", "DeleteMarkers") for entry in top.get(kind, ())}
    return {
        "empty": not prefixes and not keys,
        "others": sorted((prefixes | keys) - PICTURES - {RECORDS})[:3],
        "faces": any(holds(s3, name, prefix) for prefix in prefixes & PICTURES),
        "records": RECORDS in prefixes and holds(s3, name, RECORDS),
    }


def holds(s3, name, prefix):
    page = s3.list_object_versions(aws_retry=True, Bucket=name, Prefix=prefix, MaxKeys=20)
    found = {entry["Key"] for entry in page.get("Versions", ())}
    return bool(found - {READY}) or page["IsTruncated"]


def main():
    module = AnsibleAWSModule(
        argument_spec={"name": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    name = module.params["name"]
    s3 = module.client("s3", retry_decorator=AWSRetry.jittered_backoff())
    try:
        found = look(s3, name)
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Look at the bucket {name}")
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
