"""What cannot be done is said in one sentence that says what to do, and nothing is made."""

import pytest

from support.playbooks import play


@pytest.fixture(scope="module")
def there(aws):
    """Buckets of others, and one of our own that a former fleet left in another region."""
    stranger = aws.assume("arn:aws:iam::111122223333:role/stranger")
    here = {"LocationConstraint": "eu-central-1"}
    aws.client("s3", stranger).create_bucket(
        Bucket="strangers-faces", CreateBucketConfiguration=here
    )
    s3 = aws.client("s3")
    for name in ("mixed-faces", "untagged-faces"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=here)
    s3.put_object(Bucket="mixed-faces", Key="faces/a", Body=b"a")
    s3.put_object(Bucket="mixed-faces", Key="accounts/2026.csv", Body=b"a")
    s3.put_object(Bucket="untagged-faces", Key="faces/a", Body=b"a")
    aws.client("s3", region="eu-west-1").create_bucket(
        Bucket="irish-faces", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    s3.put_bucket_tagging(
        Bucket="irish-faces", Tagging={"TagSet": [{"Key": "facefleet", "Value": "irish-faces"}]}
    )
    aws.client("iam").create_role(RoleName="theirs-faces", AssumeRolePolicyDocument="{}")
    ec2 = aws.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    ec2.create_security_group(GroupName="theirs-faces", Description="theirs", VpcId=vpc["VpcId"])
    return aws


def bucket(name, **more):
    return {"role": "aws_storage", "facefleet_bucket": name, **more}


def network(**more):
    return {"role": "aws_network", **more}


# Host to what it runs, and what it must say. What is wrong whatever AWS has is in
# tests/roles/test_aws_inputs.py.
REFUSALS = {
    "bad-input": (
        bucket("Faces"),
        "Faces is not a valid bucket name: set facefleet_bucket to 3 to 63",
    ),
    "taken": (
        bucket("strangers-faces"),
        "belongs to another AWS account: names are unique in all of AWS",
    ),
    "mixed": (bucket("mixed-faces"), "contains objects that are not facefleet's (accounts/)"),
    "untagged": (bucket("untagged-faces"), "was not created by facefleet and is not empty"),
    "elsewhere": (bucket("irish-faces"), "is in eu-west-1, not in eu-central-1"),
    "no-region": (
        {"role": "aws_account", "facefleet_region": "eu-nowhere-1"},
        "This AWS account cannot use the region eu-nowhere-1: set facefleet_region to one of",
    ),
    "role-of-others": (
        {"role": "aws_access", "facefleet_bucket": "theirs-faces"},
        "The IAM role theirs-faces exists but was not created by facefleet",
    ),
    "group-of-others": (
        network(facefleet_bucket="theirs-faces"),
        "The security group theirs-faces exists but was not created by facefleet",
    ),
    "no-vpc": (network(facefleet_vpc_id="vpc-0123456789abcdef0"), "vpc-0123456789abcdef0"),
    "no-such-type": (
        {"role": "aws_instance", "aws_instance_type": "t9.huge"},
        "AWS does not offer t9.huge in eu-central-1: set aws_instance_type to a type",
    ),
    "no-vm": (
        {"role": "aws_instance", "part": "find"},
        "no-vm has no VM yet: create it with site.yml or playbooks/aws.yml",
    ),
}


def snapshot(aws):
    """Everything that there is."""
    s3, ec2, iam = (aws.client(name) for name in ("s3", "ec2", "iam"))
    return (
        {
            b["Name"]: s3.get_bucket_versioning(Bucket=b["Name"]).get("Status")
            for b in s3.list_buckets()["Buckets"]
        },
        {
            r["RoleName"]: iam.list_role_policies(RoleName=r["RoleName"])["PolicyNames"]
            for r in iam.list_roles()["Roles"]
        },
        {
            g["GroupId"]: str(g["IpPermissions"])
            for g in ec2.describe_security_groups()["SecurityGroups"]
        },
        [r["ReservationId"] for r in ec2.describe_instances()["Reservations"]],
    )


@pytest.mark.timeout(600)
def test_role_that_cannot_do_its_work_has_a_sentence_and_changes_nothing(there, roles):
    before = snapshot(there)
    # The server breaks off at a region that it does not know, without an error of AWS.
    unknown = {**there.environment, "AWS_REGION": "mars-north-1"}
    mars = {
        "role": "aws_account",
        "facefleet_region": "mars-north-1",
        "facefleet_aws_environment": unknown,
    }
    refusals = {
        **REFUSALS,
        "mars": (mars, "no list of regions in mars-north-1: check that this region exists"),
    }
    said = roles({host: variables for host, (variables, _) in refusals.items()})
    assert {host: words for host, words in said.items() if refusals[host][1] not in words} == {}
    assert snapshot(there) == before


def words(done):
    """The output as it was said, whatever width it is shown in."""
    return done.flat.replace("''", "'")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("playbook", ["playbooks/aws.yml", "playbooks/preflight.yml"])
def test_all_bad_inputs_are_said_at_once_and_first(there, fleet, playbook):
    """Of all roles, where the first could have made what it makes."""
    before = snapshot(there)
    inventory = fleet(
        "all-faces",
        {"cloud-1": {"aws_instance_type": "big"}, "cloud-2": {}},
        facefleet_region="mars-1",
        facefleet_retention_days=0,
        facefleet_ssh_allowed_cidrs="0.0.0.0/0",
        facefleet_broker_allowed_cidrs="camera.example.org",
        facefleet_ssh_public_key_file="/nowhere.pub",
    )
    done = play(playbook, inventory, "--limit=cloud")
    assert done.code != 0
    said = words(done)
    for sentence in (
        "cloud-1: facefleet_region is mars-1, which is not a region of AWS",
        "cloud-1: facefleet_retention_days is 0 and aws_storage_quarantine_days is",
        "cloud-1: facefleet_ssh_allowed_cidrs is 0.0.0.0/0, which is the whole internet",
        "cloud-1: aws_instance_type is big",
        "Every host: The ssh key /nowhere.pub does not exist",
        "Nothing was changed on any host.",
    ):
        assert sentence in said, done.output
    assert "cloud-2: Faces" not in said
    assert "Every host: Faces" not in said
    assert snapshot(there) == before


@pytest.mark.timeout(300)
def test_what_aws_would_refuse_later_is_said_before_anything_is_made(there, fleet):
    before = snapshot(there)
    vms = {"cloud-1": {}, "cloud-2": {"aws_instance_type": "t9.huge"}}
    done = play("playbooks/aws.yml", fleet("theirs-faces", vms))
    assert done.code != 0
    said = words(done)
    for sentence in (
        "cloud-1: The IAM role theirs-faces exists but was not created by facefleet",
        "cloud-1: The security group theirs-faces exists but was not created by facefleet",
        "cloud-2: AWS does not offer t9.huge in eu-central-1",
    ):
        assert sentence in said, done.output
    assert snapshot(there) == before


@pytest.fixture(scope="module")
def nobody(aws):
    """Credentials that may do nothing."""
    iam = aws.client("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    keys = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    return {"facefleet_aws_environment": {**aws.environment, **keys}}


@pytest.mark.timeout(600)
def test_without_rights(aws, roles, nobody, enforced):
    keyless = {
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    profile = {**keyless, "AWS_PROFILE": "nowhere", "AWS_CONFIG_FILE": "/dev/null"}
    cases = {
        "unknown": (
            {"role": "aws_account"},
            "AWS rejects the credentials (InvalidClientTokenId)",
        ),
        "none": (
            {"role": "aws_account", "facefleet_aws_environment": keyless},
            "There are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID",
        ),
        "profile": (
            {"role": "aws_account", "facefleet_aws_environment": profile},
            "The AWS profile nowhere does not exist",
        ),
        "denied-regions": ({"role": "aws_account", **nobody}, "do not allow DescribeRegions"),
        "denied-bucket": ({"role": "aws_storage", **nobody}, "do not allow ListBuckets"),
        "denied-role": ({"role": "aws_access", **nobody}, "do not allow GetRole"),
        "denied-group": ({"role": "aws_network", **nobody}, "credentials allow this"),
        "denied-vm": ({"role": "aws_instance", **nobody}, "do not allow DescribeInstances"),
    }
    said = roles({host: variables for host, (variables, _) in cases.items()}, HOME="/nowhere")
    assert {host: words for host, words in said.items() if cases[host][1] not in words} == {}
