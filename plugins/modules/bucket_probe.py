"""Check whether a bucket exists on an S3 service, and which bucket features are missing."""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = """
module: bucket_probe
short_description: Find the features of a bucket that an S3 lacks
description:
  - Reads each feature. An S3 other than AWS may lack any of them, and reports that with its own
    error codes.
  - A feature that is not in use is tried out, because some servers claim features that they do not
    have. The module then writes the least that the role would write. It only reads the policy.
author: The facefleet authors
options:
  name:
    description: The bucket's name.
    type: str
    required: true
  features:
    description: The features to probe.
    type: list
    elements: str
    default: []
    choices: [versioning, public_access, encryption, ownership, policy, tags, lifecycle, logging]
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: Probe the features of another S3
  facefleet.facefleet.bucket_probe:
    name: my-fleet-faces
    endpoint_url: https://s3.example.org
    features: [versioning, lifecycle]
  register: probe
"""

RETURN = """
exists:
  description: Whether the bucket exists and these credentials may list it.
  type: bool
lacks:
  description: The features that the S3 does not have.
  type: list
"""

READ = {
    "versioning": "get_bucket_versioning",
    "public_access": "get_public_access_block",
    "encryption": "get_bucket_encryption",
    "ownership": "get_bucket_ownership_controls",
    "policy": "get_bucket_policy",
    "tags": "get_bucket_tagging",
    "lifecycle": "get_bucket_lifecycle_configuration",
    "logging": "get_bucket_logging",
}
# What is written where there is none yet, as the argument of the call.
WRITE = {
    "versioning": ("put_bucket_versioning", "VersioningConfiguration", {"Status": "Enabled"}),
    "public_access": (
        "put_public_access_block",
        "PublicAccessBlockConfiguration",
        {"BlockPublicAcls": True},
    ),
    "encryption": (
        "put_bucket_encryption",
        "ServerSideEncryptionConfiguration",
        {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
    ),
    "ownership": (
        "put_bucket_ownership_controls",
        "OwnershipControls",
        {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    ),
    "lifecycle": (
        "put_bucket_lifecycle_configuration",
        "LifecycleConfiguration",
        {
            "Rules": [
                {
                    "ID": "remains",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                }
            ]
        },
    ),
}
LACKING_STATUS = (405, 501)  # MethodNotAllowed, NotImplemented and servers' own codes


def lacks(s3, name, feature, dry_run):
    try:
        if not in_use(s3, name, feature) and not dry_run:
            use(s3, name, feature)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in LACKING_STATUS:
            return True
        raise
    return False


def in_use(s3, name, feature):
    try:
        found = getattr(s3, READ[feature])(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return feature != "versioning" or found.get("Status") == "Enabled"


def use(s3, name, feature):
    if feature == "tags":
        own = {"TagSet": [{"Key": "facefleet", "Value": name}]}
        s3.put_bucket_tagging(Bucket=name, Tagging=own)
    elif feature in WRITE:
        call, argument, value = WRITE[feature]
        getattr(s3, call)(Bucket=name, **{argument: value})


def exists(s3, name):
    try:
        s3.list_objects_v2(Bucket=name, MaxKeys=1)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def main():
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "features": {
                "type": "list",
                "elements": "str",
                "default": [],
                "choices": list(READ),
            },
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    s3 = module.client("s3")
    try:
        there = exists(s3, name)
        features = module.params["features"] if there else []
        lacking = [each for each in features if lacks(s3, name, each, module.check_mode)]
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Probe the bucket {name}")
    module.exit_json(changed=False, exists=there, lacks=lacking)


if __name__ == "__main__":
    main()
