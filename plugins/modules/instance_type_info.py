"""Check whether EC2 offers an instance type, without changing anything."""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.exceptions import BotoCoreError, ClientError

DOCUMENTATION = """
module: instance_type_info
short_description: Check whether EC2 offers an instance type
description:
  - Returns whether a region offers an instance type. Changes nothing.
author: The facefleet authors
options:
  instance_type:
    description: The type, such as C(t3.medium).
    type: str
    required: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
"""

EXAMPLES = r"""
- name: Check whether the region offers the type
  facefleet.facefleet.instance_type_info:
    instance_type: t3.medium
    region: eu-central-1
  register: instance_type
"""

RETURN = """
exists:
  description: Whether the region offers the type.
  type: bool
region:
  description: The region that was asked.
  type: str
"""


def main():
    module = AnsibleAWSModule(
        argument_spec={"instance_type": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    name = module.params["instance_type"]
    ec2 = module.client("ec2", retry_decorator=AWSRetry.jittered_backoff())
    # With a filter, because a query by name fails for an unknown type.
    wanted = [{"Name": "instance-type", "Values": [name]}]
    try:
        found = ec2.describe_instance_types(aws_retry=True, Filters=wanted)["InstanceTypes"]
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"Look for the instance type {name}")
    module.exit_json(changed=False, exists=bool(found), region=module.region)


if __name__ == "__main__":
    main()
