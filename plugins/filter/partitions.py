"""Names that hang on the partition of AWS that a region belongs to, as aws-cn or aws-us-gov."""


def partition(region):
    """The partition of a region; `aws` where it is none of AWS's, as with another S3."""
    from botocore.exceptions import UnknownRegionError
    from botocore.session import Session

    try:
        return Session().get_partition_for_region(region)
    except UnknownRegionError:
        return "aws"


def bucket_arn(bucket, region):
    """`facefleet_bucket | bucket_arn(facefleet_region)`."""
    return f"arn:{partition(region)}:s3:::{bucket}"


def ec2_principal(region):
    """EC2, as a role's trust policy names it: the regions in China have a name of their own."""
    return "ec2.amazonaws.com" + (".cn" if partition(region) == "aws-cn" else "")


class FilterModule:
    def filters(self):
        return {"bucket_arn": bucket_arn, "ec2_principal": ec2_principal}
