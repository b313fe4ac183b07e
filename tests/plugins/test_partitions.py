"""Names in AWS, for every region that botocore knows."""

import re

import partitions as plugin
import pytest
from botocore.session import Session

from support.role_variables import ROLES

REGIONS = {
    region: partition
    for partition in Session().get_available_partitions()
    for region in Session().get_available_regions("s3", partition, allow_non_regional=False)
}


def test_a_bucket_is_named_by_the_partition_of_its_region():
    assert {"aws", "aws-cn", "aws-us-gov"} <= set(REGIONS.values())
    named = {region: plugin.bucket_arn("faces", region) for region in REGIONS}
    assert named == {region: f"arn:{name}:s3:::faces" for region, name in REGIONS.items()}


@pytest.mark.parametrize("region", ["", "garage", "mars-1", "us-east-1"])
def test_a_region_of_another_s3_is_of_no_partition(region):
    assert plugin.bucket_arn("faces", region) == "arn:aws:s3:::faces"


@pytest.mark.parametrize(
    ("region", "principal"),
    [
        ("eu-central-1", "ec2.amazonaws.com"),
        ("us-gov-west-1", "ec2.amazonaws.com"),
        ("cn-north-1", "ec2.amazonaws.com.cn"),
        ("cn-northwest-1", "ec2.amazonaws.com.cn"),
    ],
)
def test_ec2_has_a_name_of_its_own_in_china(region, principal):
    assert plugin.ec2_principal(region) == principal


@pytest.mark.parametrize("role", ["aws_access", "aws_storage", "aws_network", "aws_instance"])
def test_no_role_takes_a_partition_for_granted(role):
    text = "".join(path.read_text() for path in (ROLES / role).rglob("*.yml"))
    assert re.findall(r"arn:aws:\w*|\w+\.amazonaws\.com", text) in (
        [],
        ["s3.amazonaws.com"],
    )  # who writes the logs
