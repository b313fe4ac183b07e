"""What of the product works with servers of other makes: a way through them, a line for each look.

`python -m benchmarks.trial --edge mqtt://127.0.0.1:1884 --s3 http://127.0.0.1:9000`: the servers
run already, on this machine; what is not named is a Mosquitto, and moto's S3. The S3 takes
"testing" as key and secret. The bucket is made where it is missing; the trial's faces are erased
at the end.
"""

import argparse
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from botocore.exceptions import ClientError
from facefleet.delivery.outbox import Counts
from facefleet.delivery.outbox_reader import OutboxReader
from facefleet.errors import FacefleetError
from pydantic import AnyUrl

from benchmarks.feeder import CAMERA, DEVICE
from support.listener import Listener
from support.rig import AWS, BUCKET, Process, Rig, await_true, free_port, ready, s3
from support.shell import facefleet

FACES = 300


class Trial:
    """The services between the servers, and looks at what becomes of their faces."""

    def __init__(self, rig: Rig, arguments: argparse.Namespace) -> None:
        self._rig = rig
        self._edge = arguments.edge or f"mqtt://127.0.0.1:{rig.mosquitto('edge-broker')[1]}"
        self._cloud = arguments.cloud or f"mqtt://127.0.0.1:{rig.mosquitto('cloud-broker')[1]}"
        endpoint = arguments.s3 or rig.moto()[1]
        self._bucket = s3(endpoint)
        self._aws = {"AWS_ENDPOINT_URL": endpoint, **AWS}
        self._outbox = rig.folder / "outbox.sqlite"
        self._qos, self._tls, self._share = arguments.qos, arguments.tls, arguments.share
        self.failed = False

    def run(self) -> None:
        with suppress(ClientError):  # it is there
            self._bucket.create_bucket(Bucket=BUCKET)
        self._start()
        self._look("faces are stored", self._faces)
        self._look("the forwarder comes back", self._outage)
        self._look("what is no face is quarantined", self._quarantine)
        self._look("verify", self._verify)
        self._look("gallery", self._gallery)
        self._look("status", self._status)
        self._look("a last will is heard", self._will)
        self._look("what the edge has retained", self._absence)
        self._look("audit", lambda: self._tool("audit", self._outbox, BUCKET=BUCKET))
        self._look("erase", lambda: self._tool("erase", "--device", DEVICE, "--yes", BUCKET=BUCKET))
        self._look("audit after it", lambda: self._tool("audit", self._outbox, BUCKET=BUCKET))
        for process in (*self._processors, self._forwarder):
            for line in process.log.read_text().splitlines():
                if json.loads(line)["level"] != "info":
                    print(f"{process.name}: {line}")

    def _look(self, what: str, look: Callable[[], str]) -> None:
        began = time.monotonic()
        try:
            said = look()
        except Exception as error:  # the others are looked at, too
            self.failed = True
            said = f"FAILED: {type(error).__name__}: {error}"
        print(f"{what} ({time.monotonic() - began:.1f} s): {said.strip()}", flush=True)

    def _start(self) -> None:
        tls = {"tls": self._tls} if self._tls else {}
        cloud = {"broker": self._cloud, **tls}
        share = {"share": "processors"} if self._share else {}
        stores = {"bucket": BUCKET, **self._aws}
        self._processors = [
            self._rig.service(
                "processor", instance=f"-{n}", qos=self._qos, **cloud, **share, **stores
            )[0]
            for n in range(2 if share else 1)
        ]
        self._forwarder, at_forwarder = self._rig.service(
            "forwarder",
            device=DEVICE,
            edge_broker=self._edge,
            cloud_broker=self._cloud,
            qos=self._qos,
            **tls,
        )
        self._rig.service("logger", device=DEVICE, broker=self._edge)
        _, self._gallery_url = self._rig.service("gallery", **cloud, **stores)
        self._at_forwarder = at_forwarder.removeprefix("http://")
        self._for_status = {"BROKER": self._cloud, **({"TLS": self._tls} if self._tls else {})}

    def _faces(self) -> str:
        self._feeder = self._feed(FACES)
        self._await_stored(FACES)
        return f"{FACES}"

    def _outage(self) -> str:
        self._feeder.stop()
        self._feeder = self._feed(2 * FACES)
        self._forwarder.kill()
        await_true(lambda: self._counts().pending > 20, "faces wait")
        self._forwarder.start()
        self._await_stored(2 * FACES)
        return f"{2 * FACES}"

    def _quarantine(self) -> str:
        with Listener(AnyUrl(self._edge).port) as listener:
            listener.say(f"faces/{DEVICE}/{CAMERA}/no-name", b"no face")
        found: list[str] = []

        def there() -> bool:
            pages = self._bucket.list_objects_v2(Bucket=BUCKET, Prefix="quarantine/")
            keys = (entry["Key"] for entry in pages.get("Contents", ()))
            found.extend(key for key in keys if key.count("/") > 1)  # not the processor's own
            return bool(found)

        await_true(there, "it is in quarantine")
        return str(self._bucket.head_object(Bucket=BUCKET, Key=found[0])["Metadata"])

    def _verify(self) -> str:
        return self._tool(
            "verify",
            BUCKET=BUCKET,
            DEVICE=DEVICE,
            BROKER=self._edge,
            FORWARDER=self._at_forwarder,
        )

    def _gallery(self) -> str:
        with urllib.request.urlopen(
            f"{self._gallery_url}/?device={DEVICE}&camera={CAMERA}", timeout=20
        ) as page:
            keys = re.findall(r'href="/face/(faces/[^"?]+)', page.read().decode())
        with urllib.request.urlopen(f"{self._gallery_url}/image/{keys[0]}", timeout=20) as image:
            jpeg = image.read()
        if not jpeg.startswith(b"\xff\xd8\xff"):
            raise ValueError("the newest face is no JPEG")
        return f"{len(keys)} faces on the first page"

    def _status(self) -> str:
        return self._tool("status", "--expect", f"{DEVICE}/{CAMERA}", **self._for_status)

    def _will(self) -> str:
        self._forwarder.kill()
        try:
            self._await_status("link down")
        finally:
            self._forwarder.start()
        self._await_status("online")
        self._feeder.kill()
        self._await_status("offline")
        return "link down, online, offline"

    def _absence(self) -> str:
        self._feeder.stop()
        self._feeder = self._feed(2 * FACES)
        self._await_status("online")
        self._forwarder.kill()
        self._feeder.kill()
        self._forwarder.start()
        self._await_status("offline")
        return "offline"

    def _await_status(self, state: str) -> None:
        def said() -> bool:
            return state in facefleet("status", **self._for_status).stdout.split("\n", 1)[1]

        await_true(said, f"status says {state}", 30)

    def _feed(self, count: int) -> Process:
        http = f"127.0.0.1:{free_port()}"
        feeder = self._rig.module(
            "benchmarks.feeder",
            *("--broker", self._edge, "--qos", self._qos, "--outbox", self._outbox),
            *("--log", self._rig.folder / "acknowledged.log", "--count", count, "--rate", 60),
            *("--http", http),
        )
        await_true(lambda: ready(f"http://{http}"), "the feeder is ready")
        return feeder

    def _await_stored(self, count: int) -> None:
        await_true(
            lambda: self._outbox.exists() and self._counts().stored == count,
            f"{count} are confirmed",
            60,
        )

    def _counts(self) -> Counts:
        with closing(OutboxReader(self._outbox)) as ledger:
            return ledger.counts()

    def _tool(self, *arguments: object, **settings: str) -> str:
        found = facefleet(*map(str, arguments), **self._aws, **settings)
        if found.returncode:
            raise FacefleetError(found.stderr or found.stdout)
        return found.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="Try the product with servers of other makes.")
    parser.add_argument("--edge", help="the device's broker: mqtt://127.0.0.1:1883")
    parser.add_argument("--cloud", help="the cloud's: mqtt://... or mqtts://...")
    parser.add_argument("--tls", type=Path, help="a folder with ca.crt, tls.crt and tls.key")
    parser.add_argument("--s3", help="http://127.0.0.1:9000")
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--share", action="store_true", help="with two processors that share")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Rig(Path(folder)) as rig:
        trial = Trial(rig, arguments)
        trial.run()
    sys.exit(trial.failed)


if __name__ == "__main__":
    main()
