"""Names that depend on a region's AWS partition, such as aws-cn or aws-us-gov."""


def partition(region):
    """Return the partition of a region; `aws` for unknown regions, as of another S3 service."""
    from botocore.exceptions import UnknownRegionError
    from botocore.session import Session

    try:
        return Session().get_partition_for_region(region)
    except UnknownRegionError:
        return "aws"


def bucket_arn(bucket, region):
    """Return a bucket's ARN: `facefleet_bucket | bucket_arn(facefleet_region)`."""
    return f"arn:{partition(region)}:s3:::{bucket}"


def ec2_principal(region):
    """Return EC2's principal for trust policies, which differs in China."""
    return "ec2.amazonaws.com" + (".cn" if partition(region) == "aws-cn" else "")


class FilterModule:
    def filters(self):
        return {"bucket_arn": bucket_arn, "ec2_principal": ec2_principal}
