"""Why AWS refuses a call, by its cause."""

import aws_error_message as plugin
import pytest

CLOCK = "The controller's clock differs from AWS's: set it (timedatectl set-ntp true)"
CAUSES = [
    (
        "SignatureDoesNotMatch",
        "Signature expired: 20261126T101500Z is now earlier than 20261126T110000Z "
        "(20261126T111500Z - 15 min.)",
        CLOCK,
    ),
    (
        "SignatureDoesNotMatch",
        "Signature not yet current: 20261126T120000Z is still later than 20261126T111500Z",
        CLOCK,
    ),
    ("RequestTimeTooSkewed", "The difference between the request time and ...", CLOCK),
    ("RequestExpired", "Request has expired.", CLOCK),  # EC2's words for it
    ("ExpiredToken", "The security token is expired", "The AWS credentials have expired"),
    (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
        "AWS rejects the credentials (SignatureDoesNotMatch): correct them",
    ),
    (
        "AuthFailure",
        "AWS was not able to validate the provided access credentials",
        "and that the controller's clock is right.",
    ),
]


@pytest.mark.parametrize(("code", "words", "sentence"), CAUSES)
def test_a_wrong_clock_is_told_from_wrong_credentials(code, words, sentence):
    call = f"An error occurred ({code}) when calling the GetCallerIdentity operation: {words}"
    said = plugin.aws_error_message(
        {
            "failed": True,
            "boto3_version": "1",
            "error": {"code": code, "message": words},
            "msg": call,
        }
    )
    assert sentence in said
