"""The bucket as the gallery sees it: read only, and every failure told as a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from facefleet.aws import s3_client
from facefleet.errors import FacefleetError

PAGE = 250
"""Keys in one answer: a few screens of faces. An answer takes as long as it has keys."""
LARGEST = 16 << 20
"""Bytes of an object that are read into memory: no face comes near it."""


def connect() -> Any:
    """An S3 client that never keeps a page, or the end of the gallery, waiting for long."""
    return s3_client(read_timeout=4, attempts=1)


class BucketError(FacefleetError):
    """The bucket cannot be listed or read."""


@dataclass(frozen=True, slots=True)
class Page:
    """Keys in ascending order, and whether more follow."""

    keys: list[str]
    truncated: bool


class Bucket:
    """A bucket by its name. Every method makes requests and may raise BucketError."""

    def __init__(self, client: Any, name: str) -> None:
        self.name = name
        self._client = client

    def page(self, prefix: str, after: str = "", limit: int = PAGE) -> Page:
        """The first keys under `prefix` that sort after `after`: one request."""
        with self._told():
            answer = self._client.list_objects_v2(
                Bucket=self.name, Prefix=prefix, StartAfter=after, MaxKeys=limit
            )
        return Page([item["Key"] for item in answer.get("Contents", ())], answer["IsTruncated"])

    def folders(self, prefix: str) -> list[str]:
        """What lies directly under `prefix`, as prefixes that end in a slash, ascending."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, Delimiter="/"
        )
        with self._told():
            return [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ())]

    def read(self, key: str) -> bytes | None:
        """An object's content, or None where there is no such object."""
        with self._told():
            try:
                found = self._client.get_object(Bucket=self.name, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            except ClientError as error:
                # So S3 says of what is not there to whom may list no more than faces/.
                if error.response["Error"]["Code"] != "AccessDenied" or self._lists(key):
                    raise
                return None
            with found["Body"] as body:
                if found["ContentLength"] <= LARGEST:
                    return body.read()
        raise BucketError(f"The object {key} has {found['ContentLength']} bytes: it is no face.")

    def _lists(self, key: str) -> bool:
        return key in self.page(key, limit=1).keys

    def check(self) -> None:
        """Raise BucketError where the faces cannot be listed."""
        self.page("faces/", limit=1)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise BucketError(self._sentence(error.response["Error"].get("Code", ""))) from error
        except BotoCoreError as error:
            raise BucketError(
                f"The bucket {self.name} cannot be reached: {error} "
                "Check the network, AWS_ENDPOINT_URL and the credentials."
            ) from error

    def _sentence(self, code: str) -> str:
        match code:
            case "NoSuchBucket":
                return (
                    f"There is no bucket {self.name}: create it, or correct FACEFLEET_BUCKET "
                    "and start the gallery again."
                )
            case "AccessDenied" | "403":
                return (
                    f"The bucket {self.name} refuses the gallery: "
                    "allow s3:ListBucket and s3:GetObject for its credentials."
                )
            case _:
                return (
                    f"The bucket {self.name} answers with {code or 'an error'}: it is tried again."
                )
