"""moto's server, nearer to AWS where the tests need it: `server.py [moto_server's options]`.

- A policy's conditions count. moto leaves out those that it does not know.
- KMS looks at rights to the key that is asked for.
- EC2 takes `resolve:ssm:` and Canonical's parameters in place of an image's id.
"""

import sys
from fnmatch import fnmatchcase

from flask import request
from moto.ec2.models.instances import InstanceBackend
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.kms.responses import KmsResponse
from moto.server import main

UBUNTU = "resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current"
IMAGES = {
    f"{UBUNTU}/{arch}/hvm/ebs-gp3/ami-id": ami
    for arch, ami in {"amd64": "ami-785db401", "arm64": "ami-0e9271c829888680e"}.items()
}
OPERATORS = {"StringLike": fnmatchcase, "Bool": lambda value, wanted: value == wanted}

_judge = IAMPolicyStatement.is_action_permitted
_run = InstanceBackend.run_instances


def judge(self, *args, **kwargs):
    """A statement says nothing where its conditions are not met."""
    context = {"s3:prefix": request.args.get("prefix"), "aws:SecureTransport": "false"}
    for operator, keys in self._statement.get("Condition", {}).items():
        for key, wanted in keys.items():
            value, choice = context[key], wanted if isinstance(wanted, list) else [wanted]
            if value is None or not any(OPERATORS[operator](value, one) for one in choice):
                return PermissionResult.NEUTRAL
    rest = {key: value for key, value in self._statement.items() if key != "Condition"}
    return _judge(IAMPolicyStatement(rest), *args, **kwargs)


def run(self, image_id, *args, **kwargs):
    return _run(self, IMAGES.get(image_id, image_id), *args, **kwargs)


IAMPolicyStatement.is_action_permitted = judge
InstanceBackend.run_instances = run
KmsResponse._determine_resource = lambda self: self._get_param("KeyId") or "*"

if __name__ == "__main__":
    main(sys.argv[1:])
