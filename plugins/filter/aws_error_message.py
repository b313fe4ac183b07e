"""`result | aws_error_message`: say in a sentence why a call to AWS failed, and what to do."""

import re

# Patterns for AWS's error code and the module's message, each with its sentence. {call} is the
# operation, {said} AWS's message, {1} the match of the first group.
SENTENCES = (
    (
        r"Unable to locate credentials",
        "There are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, where you run this.",
    ),
    (
        r"config profile \((.*?)\) could not be found",
        "The AWS profile {1} does not exist: correct or unset AWS_PROFILE.",
    ),
    (
        r"Passing both a profile and access tokens",
        "Both AWS_PROFILE and AWS_ACCESS_KEY_ID are set: unset one of them.",
    ),
    (
        r"\bRequest(?:TimeTooSkewed|InTheFuture|Expired)\b|Signature (?:expired|not yet current)",
        "The controller's clock differs from AWS's: set it (timedatectl set-ntp true), and run "
        "this again.",
    ),
    (
        r"\b(ExpiredToken\w*)\b|(?:SSO|Token).* expired",
        "The AWS credentials have expired: sign in again.",
    ),
    (
        r"\b(InvalidClientTokenId|AuthFailure|InvalidAccessKeyId|SignatureDoesNotMatch|UnrecognizedClient\w*)\b",
        "AWS rejects the credentials ({1}): correct them, and check that this region is enabled "
        "for the account and that the controller's clock is right.",
    ),
    (
        r"\b(?:AccessDenied\w*|UnauthorizedOperation)\b|\(403\)",
        "The controller's AWS credentials do not allow {call}: grant the permission, or use other "
        "credentials.",
    ),
    (
        r"(?:Could not connect to the|Connect timeout on) endpoint URL: \"?([^\s\"]+)",
        "AWS cannot be reached at {1}: check the network, and facefleet_region.",
    ),
    (
        r"\bBucketAlready(?:Exists|OwnedByYou)\b",
        "The bucket's name is taken: names are unique in all of AWS, so set facefleet_bucket to "
        "another.",
    ),
    (
        r"\bOperationNotPermitted\b.*erminat",
        "The VM is protected against termination: set aws_instance_termination_protection to "
        "false, run playbooks/aws.yml, then try again.",
    ),
    (
        r"\b(\w*LimitExceeded|MaxSpotInstanceCountExceeded)\b",
        "The account has reached an AWS quota ({1}): free resources, or request an increase. "
        "{said}",
    ),
    (
        r"\bDependencyViolation\b",
        "Another resource, not created by facefleet, still uses this one: remove it first. {said}",
    ),
)
OTHER = "AWS rejects {call}: {said}"
# Some modules hide AWS's message.
UNKNOWN = "{said}: check that the controller's AWS credentials allow this."


def aws_error_message(result):
    """Return the sentence for a module's failed result, or for the first failed item of a loop."""
    failed = [item for item in result.get("results", []) if item.get("failed")]
    call = failed[0] if failed else result
    error = call.get("error") or {}
    words = call.get("msg") or call.get("module_stderr") or "no reason was given"
    words = words if isinstance(words, str) else " ".join(words)
    words = re.sub(r"^((Task|Module|Action) failed: )+", "", words)
    if not error and "botocore_version" not in call and "boto3_version" not in call:
        return words  # not from AWS, but a sentence of this project
    everything = f"{error.get('code', '')} {words}"
    operation = re.search(r"calling the (\w+) operation", everything)
    values = {
        "call": operation[1] if operation else "this call",
        "said": (error.get("message") or words).split(" Encoded authorization")[0].strip(),
    }
    for pattern, sentence in SENTENCES:
        if found := re.search(pattern, everything, re.DOTALL):
            first = next((group for group in found.groups() if group), "")
            return sentence.replace("{1}", first).format(**values)
    return (OTHER if operation else UNKNOWN).format(**values)


class FilterModule:
    def filters(self):
        return {"aws_error_message": aws_error_message}
