"""`result | aws_sentence`: why a call to AWS failed, and what to do, in one sentence."""

import re

# What AWS's code and the module's words match, and what is said of it. {call} is the operation,
# {said} AWS's own words, {1} what the first group matched.
SENTENCES = (
    (
        r"Unable to locate credentials",
        "There are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, where you run this.",
    ),
    (
        r"config profile \((.*?)\) could not be found",
        "AWS_PROFILE is {1}, and there is no such profile: correct it, or unset it.",
    ),
    (
        r"Passing both a profile and access tokens",
        "Both AWS_PROFILE and AWS_ACCESS_KEY_ID are set: unset one of them.",
    ),
    (
        r"\bRequest(?:TimeTooSkewed|InTheFuture|Expired)\b|Signature (?:expired|not yet current)",
        "The controller's clock is wrong, as AWS sees it: set it (timedatectl set-ntp true), and "
        "run this again.",
    ),
    (
        r"\b(ExpiredToken\w*)\b|(?:SSO|Token).* expired",
        "The AWS credentials have expired: sign in again.",
    ),
    (
        r"\b(InvalidClientTokenId|AuthFailure|InvalidAccessKeyId|SignatureDoesNotMatch|UnrecognizedClient\w*)\b",
        "AWS does not take these credentials ({1}): correct them, see that the account has this "
        "region turned on, and that the controller's clock is right.",
    ),
    (
        r"\b(?:AccessDenied\w*|UnauthorizedOperation)\b|\(403\)",
        "The controller's AWS credentials may not do {call}: allow it to them, or use others.",
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
        "The VM is protected against termination: set aws_instance_protected to false, run "
        "playbooks/aws.yml, then try again.",
    ),
    (
        r"\b(\w*LimitExceeded|MaxSpotInstanceCountExceeded)\b",
        "The account has reached a limit of AWS's ({1}): free some, or ask AWS for more. {said}",
    ),
    (
        r"\bDependencyViolation\b",
        "Something that facefleet did not make still uses this: {said}",
    ),
)
OTHER = "AWS refuses {call}: {said}"
# Some modules keep AWS's words to themselves.
UNKNOWN = "{said}: see that the controller's AWS credentials may do that."


def aws_sentence(result):
    """The sentence for a module's failed result, or for the first that failed of a loop."""
    failed = [one for one in result.get("results", []) if one.get("failed")]
    call = failed[0] if failed else result
    error = call.get("error") or {}
    words = call.get("msg") or call.get("module_stderr") or "no reason was given"
    words = words if isinstance(words, str) else " ".join(words)
    words = re.sub(r"^((Task|Module|Action) failed: )+", "", words)
    if not error and "botocore_version" not in call and "boto3_version" not in call:
        return words  # it came to no call: a sentence of our own
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
        return {"aws_sentence": aws_sentence}
