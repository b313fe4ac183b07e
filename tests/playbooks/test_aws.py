"""aws.yml and teardown_aws.yml: from nothing to a fleet's bucket and VMs, and back."""

import json
import socket
from contextlib import contextmanager
from threading import Thread

import pytest

from support.playbooks import SSH_PORT, play

RECORD = "erased/2026-01-02T030405.000000Z/edge-1/all."
SISTER = "203.0.113.77/32"  # a device of another inventory that has the same cloud
AWS_YML, TEARDOWN = "playbooks/aws.yml", "playbooks/teardown_aws.yml"


@contextmanager
def ssh_answers():
    """As a VM does that is up; the addresses that moto gives, 127.x.x.x, are this machine's."""
    with socket.create_server(("", SSH_PORT)) as listener:
        Thread(target=_greet, args=[listener], daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


def _greet(listener):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


class Made:
    """What a fleet has in AWS, as AWS tells it."""

    def __init__(self, aws, bucket):
        self.bucket = bucket
        self.tag = [{"Name": "tag:facefleet", "Values": [bucket]}]
        self.s3, self.ec2, self.iam = (aws.client(name) for name in ("s3", "ec2", "iam"))

    @property
    def there(self):
        return self.bucket in {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}

    @property
    def vms(self):
        """By name; those that are not terminated."""
        found = [
            vm
            for reservation in self.ec2.describe_instances(Filters=self.tag)["Reservations"]
            for vm in reservation["Instances"]
            if vm["State"]["Name"] != "terminated"
        ]
        return {tag["Value"]: vm for vm in found for tag in vm["Tags"] if tag["Key"] == "Name"}

    @property
    def addresses(self):
        return self.ec2.describe_addresses(Filters=self.tag)["Addresses"]

    @property
    def groups(self):
        return self.ec2.describe_security_groups(Filters=self.tag)["SecurityGroups"]

    @property
    def group(self):
        (group,) = self.groups
        return group

    @property
    def rest(self):
        """What is left beside the bucket."""
        keys = self.ec2.describe_key_pairs(Filters=self.tag)["KeyPairs"]
        names = {role["RoleName"] for role in self.iam.list_roles()["Roles"]}
        names |= {
            p["InstanceProfileName"] for p in self.iam.list_instance_profiles()["InstanceProfiles"]
        }
        return [*self.vms, *self.addresses, *self.groups, *keys, *(names & {self.bucket})]

    def put(self, key):
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"face", IfNoneMatch="*")

    def erase(self, prefix):
        """Delete all versions below a prefix."""
        versions = self.s3.list_object_versions(Bucket=self.bucket, Prefix=prefix)["Versions"]
        found = [{name: version[name] for name in ("Key", "VersionId")} for version in versions]
        self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": found})


def allowed(group, kind="IpPermissions"):
    return {
        (rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), source)
        for rule in group[kind]
        for source in [
            *(entry["CidrIp"] for entry in rule["IpRanges"]),
            *(entry["CidrIpv6"] for entry in rule["Ipv6Ranges"]),
        ]
    }


def check_bucket(made):
    s3, bucket = made.s3, made.bucket
    blocks = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert len(blocks) == 4
    assert all(blocks.values())
    (ownership,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert ownership == {"ObjectOwnership": "BucketOwnerEnforced"}
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {rule.pop("Status") for rule in rules} == {"Enabled"}
    assert {rule.pop("ID"): rule for rule in rules} == {
        "faces": {"Filter": {"Prefix": "faces/"}, "Expiration": {"Days": 14}},
        "quarantine": {"Filter": {"Prefix": "quarantine/"}, "Expiration": {"Days": 7}},
        "remains": {
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    }


def check_access(made):
    assert made.iam.list_role_policies(RoleName=made.bucket)["PolicyNames"] == ["facefleet"]
    assert not made.iam.list_attached_role_policies(RoleName=made.bucket)["AttachedPolicies"]
    profile = made.iam.get_instance_profile(InstanceProfileName=made.bucket)["InstanceProfile"]
    (role,) = profile["Roles"]
    assert role["RoleName"] == made.bucket
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}


def check_network(made, *others):
    assert allowed(made.group) == {
        *others,
        ("tcp", 22, 22, "198.51.100.21/32"),
        ("tcp", 31883, 31883, "203.0.113.12/32"),
        ("tcp", 31883, 31883, "203.0.113.11/32"),
        ("tcp", 31883, 31883, "2001:db8::/64"),
    }
    assert allowed(made.group, "IpPermissionsEgress") == {("-1", None, None, "0.0.0.0/0")}


def check_vms(made, types):
    assert {name: vm["InstanceType"] for name, vm in made.vms.items()} == types
    for vm in made.vms.values():
        assert vm["State"]["Name"] == "running"
        assert vm["MetadataOptions"]["HttpTokens"] == "required"
        assert vm["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
        assert vm["IamInstanceProfile"]["Arn"].endswith(f":instance-profile/{made.bucket}")
        assert [group["GroupId"] for group in vm["SecurityGroups"]] == [made.group["GroupId"]]
        (disk,) = [disk for disk in vm["BlockDeviceMappings"] if disk["DeviceName"] == "/dev/sda1"]
        (volume,) = made.ec2.describe_volumes(VolumeIds=[disk["Ebs"]["VolumeId"]])["Volumes"]
        assert (volume["VolumeType"], volume["Encrypted"], volume["Size"]) == ("gp3", True, 30)
        (image,) = made.ec2.describe_images(ImageIds=[vm["ImageId"]])["Images"]
        assert image["Architecture"] == ("arm64" if "t4g" in vm["InstanceType"] else "x86_64")
    associated = sorted(address["InstanceId"] for address in made.addresses)
    assert associated == sorted(vm["InstanceId"] for vm in made.vms.values())


def drift(made):
    """All that somebody could do by hand."""
    s3, bucket = made.s3, made.bucket
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_policy(Bucket=bucket)
    theirs = {
        "ID": "theirs",
        "Filter": {"Prefix": "faces/"},
        "Status": "Enabled",
        "Expiration": {"Days": 1},
    }
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [theirs]})
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    made.iam.put_role_policy(RoleName=bucket, PolicyName="theirs", PolicyDocument=policy)
    made.iam.put_role_policy(RoleName=bucket, PolicyName="facefleet", PolicyDocument=policy)
    managed = made.iam.create_policy(PolicyName="theirs", PolicyDocument=policy)["Policy"]["Arn"]
    made.iam.attach_role_policy(RoleName=bucket, PolicyArn=managed)
    opened = {
        "IpProtocol": "tcp",
        "FromPort": 8080,
        "ToPort": 8080,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    sister = {
        "IpProtocol": "tcp",
        "FromPort": 31883,
        "ToPort": 31883,
        "IpRanges": [
            {"CidrIp": SISTER, "Description": "the broker from the devices of site-b"},
        ],
    }
    group = made.group["GroupId"]
    made.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[opened, sister])
    made.ec2.revoke_security_group_ingress(
        GroupId=group,
        IpPermissions=[rule for rule in made.group["IpPermissions"] if rule["FromPort"] == 22],
    )
    vm = made.vms["cloud-1"]["InstanceId"]
    made.ec2.modify_instance_metadata_options(
        InstanceId=vm,
        HttpTokens="optional",
        HttpPutResponseHopLimit=1,
        HttpEndpoint="enabled",
        HttpProtocolIpv6="disabled",
        InstanceMetadataTags="disabled",
    )
    made.ec2.stop_instances(InstanceIds=[vm])


def check(made, *others):
    check_bucket(made)
    check_access(made)
    check_network(made, *others)
    check_vms(made, {"cloud-1": "t3.medium", "cloud-2": "t4g.small"})


@pytest.mark.timeout(1800)
def test_a_life(aws, fleet):
    made = Made(aws, "life-faces")
    vms = {"cloud-1": {}, "cloud-2": {"aws_instance_type": "t4g.small"}}
    inventory = fleet("life-faces", vms, facefleet_retention_days=14)

    dry = play(AWS_YML, inventory, "--check")
    assert dry.code == 0, dry.output
    assert not made.there
    assert not made.rest

    with ssh_answers():
        first = play(AWS_YML, inventory)
        assert first.code == 0, first.output
        assert first.changed["cloud-1"] >= 9
        check(made)
        ids = {name: vm["InstanceId"] for name, vm in made.vms.items()}

        again = play(AWS_YML, inventory)
        assert again.code == 0, again.output
        assert set(again.changed.values()) == {0}, again.output

        made.s3.delete_bucket_policy(Bucket=made.bucket)  # the server has no TLS
        made.put(RECORD)  # none of the rules in check_bucket lets it expire
        drift(made)
        repaired = play(AWS_YML, inventory)
        assert repaired.code == 0, repaired.output
        assert "and are removed, because they were added by hand" in repaired.flat
        assert "tcp 8080 from 0.0.0.0/0" in repaired.flat
        check(made, ("tcp", 31883, 31883, SISTER))
        assert {name: vm["InstanceId"] for name, vm in made.vms.items()} == ids

    made.s3.delete_bucket_policy(Bucket=made.bucket)
    made.put("quarantine/ready")
    made.put("faces/edge-1/front/2026/01/01/000000.000000-a-1-b.jpg")
    # Not over ssh: what aws.yml made goes as a whole.
    kept = play("playbooks/teardown.yml", inventory, "-e", "facefleet_confirm=yes", "--limit=cloud")
    assert kept.code == 0, kept.output
    assert "Keep faces unless -e facefleet_delete_faces=yes, bucket life-faces" in kept.flat
    assert made.there
    assert not made.rest

    # A bucket of which all faces were erased is still the fleet's.
    for prefix in ("faces/", "quarantine/"):
        made.erase(prefix)
    kept = play(TEARDOWN, inventory, "-e", "facefleet_confirm=yes")
    assert kept.code == 0, kept.output
    assert "Keep records unless -e facefleet_delete_faces=yes, bucket life-faces" in kept.flat
    assert made.there

    asked = play(TEARDOWN, inventory)
    assert asked.code == 2, asked.output
    assert "Nothing was deleted: the answer was not" in asked.flat
    assert made.there

    gone = play(
        TEARDOWN, inventory, "-e", "facefleet_confirm=yes", "-e", "facefleet_delete_faces=yes"
    )
    assert gone.code == 0, gone.output
    assert gone.changed == {"cloud-1": 1, "cloud-2": 0, "edge-1": 0, "edge-2": 0}
    assert not made.there

    nothing = play(
        TEARDOWN, inventory, "-e", "facefleet_confirm=yes", "-e", "facefleet_delete_faces=yes"
    )
    assert nothing.code == 0, nothing.output
    assert set(nothing.changed.values()) == {0}
