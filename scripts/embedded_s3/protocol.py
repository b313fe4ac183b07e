"""The subset of the S3 protocol that boto3 and libcurl need here.

It covers versioned objects, listings, and bucket configurations. Configurations are stored
verbatim; only versioning has an effect. A request must have a signature, which keeps out web pages
in a browser on this machine, but signatures are not verified.
"""

import hashlib
import json
import zlib
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from storage import New, S3Error, Storage, Version, number_of

PAGE = 1000  # entries per listing, as in S3
MAX_OBJECT_BYTES = 64 << 20  # objects are held in memory
KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language")
CHECKSUMS = {
    "x-amz-checksum-sha256": lambda content: hashlib.sha256(content).digest(),
    "x-amz-checksum-crc32": lambda content: zlib.crc32(content).to_bytes(4, "big"),
}
# Bucket configurations, and the response if a bucket has none: an error code, or a document.
CONFIGURATIONS = {
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "logging": "<BucketLoggingStatus/>",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "policy": "NoSuchBucketPolicy",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "requestPayment": (
        "<RequestPaymentConfiguration><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"
    ),
    "tagging": "NoSuchTagSet",
    "versioning": "<VersioningConfiguration/>",
}
# Parameters that select an unsupported operation. Other unknown parameters are ignored.
UNKNOWN = {
    "accelerate", "acl", "analytics", "attributes", "cors", "inventory", "legal-hold", "metrics",
    "notification", "object-lock", "partNumber", "replication", "restore", "retention", "select",
    "torrent", "uploadId", "uploads", "website",
}  # fmt: skip


def application(storage: Storage, hosts: list[str]) -> Starlette:
    """Build the server, which only serves requests for the host names `hosts`."""
    protocol = Protocol(storage)
    methods = ["DELETE", "GET", "HEAD", "POST", "PUT"]
    return Starlette(
        routes=[
            Route("/", protocol.buckets, methods=["GET"]),
            Route("/{bucket}", protocol.bucket, methods=methods),
            Route("/{bucket}/{key:path}", protocol.object, methods=methods),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={S3Error: answer_error},
    )


class Protocol:
    """Translates requests into calls of the storage, and results into responses."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def buckets(self, request: Request) -> Response:
        await check(request)
        found = "".join(
            f"<Bucket><Name>{name}</Name><CreationDate>{iso(created)}</CreationDate></Bucket>"
            for name, created in self._storage.buckets()
        )
        owner = "<Owner><ID>facefleet</ID></Owner>"
        return document("ListAllMyBucketsResult", f"{owner}<Buckets>{found}</Buckets>")

    async def bucket(self, request: Request) -> Response:
        await check(request)
        name, asked = request.path_params["bucket"], request.query_params
        for configuration in CONFIGURATIONS.keys() & asked.keys():
            return await self._configuration(request, name, configuration)
        match request.method:
            case "PUT":
                region = region_of(await body_of(request))
                await self._storage.create_bucket(name, region)
                return Response(headers={"Location": f"/{name}"})
            case "DELETE":
                await self._storage.delete_bucket(name)
                return Response(status_code=204)
            case "HEAD":
                return Response(headers={"x-amz-bucket-region": self._storage.region(name)})
            case "GET" if "location" in asked:
                region = self._storage.region(name)
                return document("LocationConstraint", "" if region == "us-east-1" else region)
            case "GET" if "versions" in asked:
                return self._versions(name, Asked(request))
            case "GET" if asked.get("list-type") == "2":
                return self._objects(name, Asked(request))
            case "POST" if "delete" in asked:
                return await self._delete_all(name, await body_of(request))
        raise not_implemented(request)

    async def object(self, request: Request) -> Response:
        if not request.path_params["key"]:
            return await self.bucket(request)
        await check(request)
        if CONFIGURATIONS.keys() & request.query_params.keys():
            raise not_implemented(request)
        bucket, key = request.path_params["bucket"], request.path_params["key"]
        match request.method:
            case "PUT":
                return await self._put(request, bucket, key)
            case "GET" | "HEAD":
                return self._get(request, bucket, key)
            case "DELETE":
                id = version_of(request)
                [gone] = await self._storage.delete(bucket, [(key, id)])
                versions = id and self._storage.has_versions(bucket)
                asked = {"x-amz-version-id": id} if versions else {}
                return Response(status_code=204, headers=asked | self._named(bucket, gone))
        raise not_implemented(request)

    # -- a bucket's configurations -------------------------------------------------------------

    async def _configuration(self, request: Request, bucket: str, name: str) -> Response:
        match request.method:
            case "PUT":
                await self._storage.configure(bucket, name, await body_of(request))
                return Response()
            case "DELETE":
                await self._storage.configure(bucket, name, None)
                return Response(status_code=204)
            case "GET":
                found = self._storage.configuration(bucket, name)
                none = CONFIGURATIONS[name]
                if found is None and not none.startswith("<"):
                    raise S3Error(404, none, f"bucket {bucket} has no {name} configuration")
                kind = "application/json" if name == "policy" else "application/xml"
                return Response(none if found is None else found, media_type=kind)
        raise not_implemented(request)

    # -- objects -------------------------------------------------------------------------------

    async def _put(self, request: Request, bucket: str, key: str) -> Response:
        headers = request.headers
        for unsupported in ("if-match", "x-amz-copy-source"):
            if unsupported in headers:
                raise S3Error(501, "NotImplemented", f"the header {unsupported}")
        content = await body_of(request)
        md5 = hashlib.md5(content, usedforsecurity=False)
        checksums = checked(content, md5.digest(), headers)
        kept = {name: headers[name] for name in KEPT if name in headers}
        kept["content-type"] = headers.get("content-type", "binary/octet-stream")
        kept |= {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
        only_new = headers.get("if-none-match") == "*"
        etag = f'"{md5.hexdigest()}"'
        new = New(key, content, etag, json.dumps([kept, checksums]), only_new)
        put = await self._storage.put(bucket, new)
        return Response(headers={"ETag": etag, **checksums, **self._named(bucket, put)})

    def _get(self, request: Request, bucket: str, key: str) -> Response:
        id = version_of(request)
        found = self._storage.find(bucket, key, id)
        if found is None:
            raise S3Error(404, "NoSuchVersion" if id else "NoSuchKey", f"there is no {key}")
        if found.marker:
            named = self._named(bucket, found)
            if id:
                raise S3Error(405, "MethodNotAllowed", "this version is a delete marker", **named)
            raise S3Error(404, "NoSuchKey", f"{key} was deleted", **named)
        content = b"" if request.method == "HEAD" else self._storage.content(found)
        if content is None:
            raise S3Error(404, "NoSuchKey", f"there is no {key}")
        kept, checksums = json.loads(found.headers)
        if request.headers.get("x-amz-checksum-mode") != "ENABLED":
            checksums = {}
        stored = datetime.fromtimestamp(found.stored, UTC)
        headers = {
            **kept,
            **checksums,
            **self._named(bucket, found),
            "ETag": found.etag,
            "Last-Modified": format_datetime(stored, usegmt=True),
            "Content-Length": str(found.size),
        }
        return Response(content, headers=headers)

    async def _delete_all(self, bucket: str, body: bytes) -> Response:
        root = parsed(body)
        objects = [
            (entry.findtext("{*}Key") or "", entry.findtext("{*}VersionId"))
            for entry in root.iterfind("{*}Object")
        ]
        if not 0 < len(objects) <= PAGE:
            raise S3Error(400, "MalformedXML", f"give 1 to {PAGE} objects to delete")
        deleted = await self._storage.delete(bucket, objects)
        if root.findtext("{*}Quiet") == "true":
            return document("DeleteResult", "")
        lines = []
        for (key, id), gone in zip(objects, deleted, strict=True):
            line = f"<Key>{escape(key)}</Key>"
            if id is not None:
                line += f"<VersionId>{escape(id)}</VersionId>"
            if gone and gone.marker:
                line += "<DeleteMarker>true</DeleteMarker>"
                line += f"<DeleteMarkerVersionId>{gone.id}</DeleteMarkerVersionId>"
            lines.append(f"<Deleted>{line}</Deleted>")
        return document("DeleteResult", "".join(lines))

    def _named(self, bucket: str, version: Version | None) -> dict[str, str]:
        """Return the headers that identify a version, if the bucket has or had versions."""
        if version is None or not self._storage.has_versions(bucket):
            return {}
        marker = {"x-amz-delete-marker": "true"} if version.marker else {}
        return {"x-amz-version-id": version.id, **marker}

    # -- listings ------------------------------------------------------------------------------

    def _objects(self, bucket: str, asked: "Asked") -> Response:
        token = asked.query.get("continuation-token")
        after = unquote(token) if token else asked.query.get("start-after", "")
        found, more = asked.page(self._storage, bucket, after)
        last = quote(name(found[-1])) if more else ""
        token = f"<NextContinuationToken>{last}</NextContinuationToken>" if more else ""
        return document(
            "ListBucketResult",
            f"{asked.head(bucket, more)}<KeyCount>{len(found)}</KeyCount>{token}"
            + "".join(map(asked.entry, found)),
        )

    def _versions(self, bucket: str, asked: "Asked") -> Response:
        after, id = asked.query.get("key-marker", ""), asked.query.get("version-id-marker")
        older = number_of(id) if id else None
        found, more = asked.page(self._storage, bucket, after, versions=True, older_than=older)
        last = found[-1] if more else None
        token = f"<NextKeyMarker>{asked.spell(name(last))}</NextKeyMarker>" if more else ""
        if isinstance(last, Version):  # not "null", which the next page may no longer find
            token += f"<NextVersionIdMarker>{last.number:032x}</NextVersionIdMarker>"
        return document(
            "ListVersionsResult",
            asked.head(bucket, more) + token + "".join(map(asked.entry, found)),
        )


class Asked:
    """The parameters of a request for a listing, and the format of its response."""

    def __init__(self, request: Request) -> None:
        self.query = request.query_params
        self.prefix = self.query.get("prefix", "")
        self._delimiter = self.query.get("delimiter", "")
        self.spell = quote if self.query.get("encoding-type") == "url" else escape
        self._is_of_versions = "versions" in self.query
        asked = self.query.get("max-keys", str(PAGE))
        if not asked.isdecimal():
            raise S3Error(400, "InvalidArgument", "max-keys is not a number")
        self._size = min(PAGE, int(asked))

    def page(
        self, storage: Storage, bucket: str, after: str, **more: object
    ) -> tuple[list[Version | str], bool]:
        """Return the entries, and whether more follow."""
        size = self._size
        asked = (bucket, self.prefix, self._delimiter, after)
        found = storage.listing(*asked, size + 1 if size else 0, **more)
        return found[:size], len(found) > size

    def head(self, bucket: str, more: bool) -> str:
        parts = {
            "Name": bucket,
            "Prefix": self.spell(self.prefix),
            "Delimiter": self.spell(self._delimiter),
            "MaxKeys": self._size,
            "EncodingType": "url" if self.spell is quote else "",
            "IsTruncated": str(more).lower(),
        }
        return "".join(f"<{tag}>{text}</{tag}>" for tag, text in parts.items() if text != "")

    def entry(self, entry: Version | str) -> str:
        if isinstance(entry, str):
            return f"<CommonPrefixes><Prefix>{self.spell(entry)}</Prefix></CommonPrefixes>"
        text = f"<Key>{self.spell(entry.key)}</Key><LastModified>{iso(entry.stored)}</LastModified>"
        if self._is_of_versions:
            latest = str(bool(entry.latest)).lower()
            text += f"<VersionId>{entry.id}</VersionId><IsLatest>{latest}</IsLatest>"
        if entry.marker:
            return f"<DeleteMarker>{text}</DeleteMarker>"
        text += f"<ETag>{escape(entry.etag)}</ETag><Size>{entry.size}</Size>"
        text += "<StorageClass>STANDARD</StorageClass>"
        return (
            f"<Version>{text}</Version>" if self._is_of_versions else f"<Contents>{text}</Contents>"
        )


# -- requests ----------------------------------------------------------------------------------


async def check(request: Request) -> None:
    """Raise S3Error if a request is not signed, or asks for an unsupported operation.

    Unless the connection is closed, the body is always read, as the next request follows it.
    """
    if not request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
        raise S3Error(403, "AccessDenied", "the request is not signed", Connection="close")
    await body_of(request)
    if UNKNOWN & request.query_params.keys():
        raise not_implemented(request)


async def body_of(request: Request) -> bytes:
    headers = request.headers
    if headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        raise S3Error(501, "NotImplemented", "content in signed chunks", Connection="close")
    if "transfer-encoding" in headers:
        raise S3Error(411, "MissingContentLength", "give the Content-Length", Connection="close")
    if int(headers.get("content-length", 0)) > MAX_OBJECT_BYTES:
        limit = f"objects have at most {MAX_OBJECT_BYTES} bytes here"
        raise S3Error(400, "EntityTooLarge", limit, Connection="close")
    return await request.body()


def checked(content: bytes, md5: bytes, headers: dict[str, str]) -> dict[str, str]:
    """Return the checksums sent with the content. Raises S3Error if one does not match."""
    sha256 = headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    if sha256 not in ("UNSIGNED-PAYLOAD", hashlib.sha256(content).hexdigest()):
        raise S3Error(400, "XAmzContentSHA256Mismatch", "the content has another SHA-256")
    if headers.get("content-md5", b64encode(md5).decode()) != b64encode(md5).decode():
        raise S3Error(400, "BadDigest", "the content has another MD5")
    found = {name: headers[name] for name in CHECKSUMS if name in headers}
    for header, value in found.items():
        if value != b64encode(CHECKSUMS[header](content)).decode():
            raise S3Error(400, "BadDigest", f"the content has another {header}")
    return found


def version_of(request: Request) -> str | None:
    return request.query_params.get("versionId")


def region_of(body: bytes) -> str:
    """Return the region in the request for a new bucket."""
    return (body and parsed(body).findtext("{*}LocationConstraint")) or "us-east-1"


def parsed(body: bytes) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise S3Error(400, "MalformedXML", "the body is not XML") from None


def not_implemented(request: Request) -> S3Error:
    query = f"?{request.url.query}" if request.url.query else ""
    return S3Error(501, "NotImplemented", f"{request.method} {request.url.path}{query}")


# -- responses ---------------------------------------------------------------------------------


def answer_error(request: Request, error: S3Error) -> Response:
    text = f"<Code>{error.code}</Code><Message>{escape(str(error))}</Message>"
    answer = document("Error", text)
    answer.status_code = error.status
    answer.headers.update(error.headers)
    if request.method == "HEAD":
        answer.body = b""
    return answer


def document(root: str, text: str) -> Response:
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{text}</{root}>'
    return Response(xml, media_type="application/xml")


def name(entry: Version | str) -> str:
    return entry if isinstance(entry, str) else entry.key


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
