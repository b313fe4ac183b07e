"""An S3 that can less than AWS's: what it lacks is done without, and a bucket can stay as it is."""

import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

# As versitygw on a folder: it tells of versioning, and cannot turn it on.
LACKS = ("publicAccessBlock", "encryption", "lifecycle", "logging")
LACKING = b"<Error><Code>NotImplemented</Code><Message>It is lacking.</Message></Error>"
FEW = (*LACKS, "tagging", "policy", "ownershipControls", "versions")
# As `rclone serve s3`: it tells that there is none yet, and refuses one.
PRETENDED = ("publicAccessBlock", "encryption", "lifecycle", "ownershipControls")


@contextmanager
def lesser(aws, lacks, refuses=()):
    """A way to moto that answers 501 where `lacks`, and to a PUT where `refuses`.

    Its address, and the requests that it saw.
    """
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            seen.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            query = self.path.partition("?")[2]
            name = query.split("=")[0]
            lacking = {*lacks, *refuses, "versioning"} if self.command == "PUT" else lacks
            if name in lacking:
                return self.send(501, LACKING, {})
            # Without a type, urllib would call the body a form.
            headers = {"Content-Type": "application/xml", **self.headers}
            headers.pop("Expect", None)
            request = urllib.request.Request(
                aws.endpoint + self.path, body or None, headers, method=self.command
            )
            try:
                with urllib.request.urlopen(request) as done:
                    self.send(done.status, done.read(), done.headers)
            except urllib.error.HTTPError as error:
                self.send(error.code, error.read(), error.headers)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = answer  # noqa: N815

        def send(self, status, body, headers):
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.timeout(600)
def test_what_an_s3_lacks_is_done_without(aws, roles):
    def storage(name, endpoint, **more):
        common = {
            "role": "aws_storage",
            "facefleet_bucket": name,
            "facefleet_s3_require_tls": False,
        }
        return {**common, "facefleet_s3_endpoint": endpoint, **more}

    s3 = aws.client("s3")
    unmanaged = {"facefleet_bucket_managed": False}
    for name in ("theirs.faces", "untagged-faces-2"):
        s3.create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
    s3.put_object(Bucket="theirs.faces", Key="accounts/2026.csv", Body=b"a")
    with (
        lesser(aws, LACKS) as (less, _),
        lesser(aws, FEW) as (few, seen),
        lesser(aws, (), PRETENDED) as (pretends, _),
        lesser(aws, (), (*PRETENDED, "tagging")) as (untagged, _),
    ):
        hosts = {
            "less": storage("less-faces", less),
            "as-it-is": storage("theirs.faces", few, **unmanaged),
            "as-text": storage("theirs.faces", few, facefleet_bucket_managed="false"),
            "missing": storage("missing-faces", few, **unmanaged),
            "no-tags": storage("untagged-faces-2", few),
            "pretends": storage("pretended-faces", pretends),
            "no-tags-after-all": storage("pretended-faces-2", untagged),
        }
        words = roles(hosts)
        again = roles({name: hosts[name] for name in ("less", "pretends")})
    assert words["less"] == again["less"] == ""
    assert words["pretends"] == again["pretends"] == ""
    assert words["as-it-is"] == words["as-text"] == ""
    assert words["missing"].startswith("The bucket missing-faces does not exist, and")
    for host in ("no-tags", "no-tags-after-all"):
        assert words[host].startswith("This S3 does not support tags, by which facefleet"), host
    assert "less-faces" in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    tags = s3.get_bucket_tagging(Bucket="less-faces")["TagSet"]
    assert tags == [{"Key": "facefleet", "Value": "less-faces"}]
    # Nothing is changed in a bucket that is not managed, and nothing but its list is asked for.
    asked = {request for request in seen if "theirs.faces" in request}
    assert asked
    assert all(request.startswith("GET") and "list-type=2" in request for request in asked)
