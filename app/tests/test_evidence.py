"""What counts as a proof that an object is in the bucket."""

from datetime import date

import pytest
from facefleet.evidence import (
    Answer,
    Found,
    NoListingError,
    by_head,
    by_listing,
    md5,
    proves,
    today,
)

FACE, CHECKSUM = b"a face", "V2hhdCBTMyBnaXZlcyBiYWNr"
OTHER = "0" * 32
KEY = "faces/edge-1/front/a.jpg"


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} OK", *lines, "", ""])
    return Answer(status, head.encode(), body)


@pytest.mark.parametrize(
    "told",
    [
        answer(ETag=f'"{md5(FACE)}"'),
        answer(etag=md5(FACE)),
        answer(ETag=f'"{OTHER}"', x_amz_checksum_sha256=CHECKSUM),
        Answer(
            200, b'HTTP/1.1 100 Continue\r\nETag: "x"\r\n\r\n' + answer(ETag=md5(FACE)).head, b""
        ),
    ],
)
def test_a_digest_of_the_content_is_a_proof(told: Answer) -> None:
    assert proves(told, FACE, CHECKSUM)


@pytest.mark.parametrize(
    "told",
    [
        answer(),
        answer(ETag=""),
        answer(ETag=f'"{OTHER}"'),
        answer(ETag=f'W/"{md5(FACE)}"'),
        answer(ETag=f'"{md5(FACE)}-1"'),
        answer(X_ETag=md5(FACE)),
        answer(x_amz_checksum_sha256=CHECKSUM),
        answer(ETag=f'"{OTHER}"', x_amz_checksum_sha256=CHECKSUM.lower()),
        *(answer(status, ETag=md5(FACE)) for status in (100, 201, 202, 204, 206, 304, 412, 500)),
        answer(body=f'ETag: "{md5(FACE)}"'.encode()),
        Answer(200, answer(ETag=md5(FACE)).head + answer().head, b""),
    ],
)
def test_nothing_else_is(told: Answer) -> None:
    assert not proves(told, FACE, CHECKSUM)


PLAIN, PARTS = OTHER, f"{OTHER}-2"


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (answer(ETag=PLAIN, Content_Length="6"), Found(6, PLAIN, False)),
        (answer(ETag=PARTS, Content_Length="6"), Found(6, PARTS, True)),
        (
            answer(ETag=PLAIN, Content_Length="6", x_amz_server_side_encryption="AES256"),
            Found(6, PLAIN, False),
        ),
        (
            answer(ETag=PLAIN, Content_Length="6", x_amz_server_side_encryption="aws:kms:dsse"),
            Found(6, PLAIN, True),
        ),
        (answer(404, ETag=PLAIN, Content_Length="6"), None),
        (answer(204, ETag=PLAIN, Content_Length="6"), None),
        (answer(Content_Length="6"), None),
        (answer(ETag=PLAIN), None),
        (answer(ETag=PLAIN, Content_Length="-6"), None),
    ],
)
def test_what_a_head_says(told: Answer, found: Found | None) -> None:
    assert by_head(told) == found


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (Found(6, md5(FACE), False), True),
        (Found(6, OTHER, True), True),
        (Found(6, OTHER, False), False),
        (Found(7, OTHER, True), False),
        (Found(7, md5(FACE), False), False),
    ],
)
def test_size_and_digest_decide(found: Found, holds: bool) -> None:
    assert found.holds(FACE) == holds
    assert found.holds(FACE, etag=found.etag) == (found.size == len(FACE))


@pytest.mark.parametrize(
    ("told", "day"),
    [
        ("Sat, 28 Feb 2026 23:59:59 GMT", date(2026, 2, 28)),
        ("Sat, 28 Feb 2026 23:59:59 -0100", date(2026, 3, 1)),
        ("yesterday", None),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
    ],
)
def test_when_an_object_was_stored_is_the_buckets_word(told: str, day: date | None) -> None:
    found = by_head(answer(ETag=PLAIN, Content_Length="6", Last_Modified=told))
    assert found.day == answer(Date=told).day("date") == (day or today())


def listing(*entries: str, root: str = "ListBucketResult") -> Answer:
    contents = "".join(f"<Contents>{entry}</Contents>" for entry in entries)
    return answer(
        body=f'<{root} xmlns="http://s3.test/"><Name>b</Name>{contents}</{root}>'.encode()
    )


def test_what_a_listing_says() -> None:
    entry = f"<Key>{KEY}</Key><Size>6</Size><ETag>&quot;{OTHER}&quot;</ETag>"
    assert by_listing(listing(entry), KEY) == Found(6, OTHER, True)
    dated = f"{entry}<LastModified>2026-02-28T23:59:59.000Z</LastModified>"
    assert by_listing(listing(dated), KEY).day == date(2026, 2, 28)
    undated = f"{entry}<LastModified>yesterday</LastModified>"
    assert by_listing(listing(undated), KEY).day == today()
    assert by_listing(listing(f"<Key>{KEY}x</Key><Size>6</Size>"), KEY) is None
    assert by_listing(listing(f"<Key>{KEY}</Key>"), KEY) is None
    assert by_listing(listing(), KEY) is None


@pytest.mark.parametrize(
    "told", [answer(), answer(body=b"<html><br></html>"), listing(root="html"), answer(body=b"\0")]
)
def test_what_is_no_listing(told: Answer) -> None:
    with pytest.raises(NoListingError):
        by_listing(told, KEY)
