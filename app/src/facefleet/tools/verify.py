"""Send a probe face through every hop of one device, and name the hop where it fails."""

import asyncio
import json
import secrets
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

import cv2
import numpy as np

from facefleet.errors import FacefleetError
from facefleet.exif import FaceInfo
from facefleet.mqtt import Connection
from facefleet.protocol import (
    PROBE,
    FaceName,
    Receipt,
    camera_prefix,
    content_tag,
    receipts_topic,
)
from facefleet.settings import VerifySettings
from facefleet.vision.faces import encode_face

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
RESEND_INTERVAL = 2.0  # seconds; the probe has no outbox, so it is resent until it arrives


class VerifyError(FacefleetError):
    """The probe did not arrive."""


def send_probe(settings: VerifySettings, timeout: float) -> None:
    """Print a line for each hop passed. Raises VerifyError with the first hop that fails."""
    asyncio.run(_Probe(settings).run(timeout))


class _Probe:
    def __init__(self, settings: VerifySettings) -> None:
        self._settings = settings
        captured = datetime.now(UTC)
        self._jpeg = _draw_face(settings.device, captured)
        self._name = FaceName(
            settings.device,
            PROBE,
            captured,
            secrets.token_hex(4),
            1,
            content_tag(self._jpeg),
        )
        receipts = receipts_topic(settings.device, PROBE)
        faces = camera_prefix(settings.device, PROBE) + "#"
        self._published, self._confirmed = asyncio.Event(), asyncio.Event()
        self._broker = Connection(
            settings.broker,
            "",
            subscriptions=[(faces, 0), (receipts, 0)],
            on_message=self._on_message,
        )

    def _on_message(self, topic: str, payload: bytes, _retain: bool) -> None:
        if topic == self._name.topic:
            self._published.set()
        elif (found := Receipt.decode(payload)) and found.epoch == self._name.epoch:
            self._confirmed.set()

    async def run(self, timeout: float) -> None:
        tasks = [asyncio.create_task(work) for work in (self._broker.run(), self._repeat())]
        try:
            started = time.monotonic()
            await self._await_hop("the device's broker", self._published, started, timeout)
            await self._await_hop("forwarder and processor", self._confirmed, started, timeout)
            if self._settings.bucket is not None:
                self._check_bucket()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _await_hop(
        self, hop: str, seen: asyncio.Event, started: float, timeout: float
    ) -> None:
        device = self._settings.device
        left = max(0.1, started + timeout - time.monotonic())
        try:
            await asyncio.wait_for(seen.wait(), left)
        except TimeoutError:
            problem = await asyncio.to_thread(self._diagnose)
            raise VerifyError(f"the probe face of {device} did not pass {problem}") from None
        print(f"{device}: passed {hop} after {time.monotonic() - started:.2f} s")

    def _diagnose(self) -> str:
        """Describe the first hop that fails. This needs no access to the cloud broker."""
        if not self._published.is_set():
            broker = self._settings.broker
            return f"the device's broker: no response from {broker}: is the broker running?"
        forwarder = f"http://{self._settings.forwarder}/readyz"
        try:
            DIRECT.open(forwarder, timeout=5).close()
        except urllib.error.HTTPError as error:
            unmet = json.load(error)["unmet"]
            return "the forwarder: " + "; ".join(f"{name}: {why}" for name, why in unmet.items())
        except OSError as error:
            return f"the forwarder: no response from {forwarder} ({error}): is it running?"
        return (
            "the processor: the forwarder is ready, but no receipt arrived: is the processor ready?"
        )

    async def _repeat(self) -> None:
        while True:
            if not self._broker.publish(self._name.topic, self._jpeg):
                await asyncio.sleep(0.05)  # not connected yet
            else:
                await asyncio.sleep(RESEND_INTERVAL)

    def _check_bucket(self) -> None:
        from facefleet import aws  # not at the top: a device's image has no boto3
        from facefleet.bucket import Bucket, BucketError

        name, key = self._settings.bucket, str(self._name)
        try:
            stored = Bucket(aws.s3_client(), name, right="s3:GetObject").read(key)
        except BucketError as error:
            raise VerifyError(f"the probe face was confirmed, but {error}") from error
        if stored is None:
            raise VerifyError(f"the probe face was confirmed but is missing from bucket {name}")
        if stored.content != self._jpeg:
            raise VerifyError(f"bucket {name} has other content than the probe face under {key}")
        print(f"{self._settings.device}: in the bucket as {key}")


def _draw_face(device: str, captured: datetime) -> bytes:
    """Draw a face of 160 x 160 pixels, gray, with the EXIF of a captured face."""
    image = np.full((160, 160, 3), 235, np.uint8)
    ink = (40, 40, 40)
    cv2.circle(image, (80, 80), 62, ink, 3, cv2.LINE_AA)
    for eye in (58, 102):
        cv2.circle(image, (eye, 64), 6, ink, -1, cv2.LINE_AA)
    cv2.ellipse(image, (80, 86), (30, 24), 0, 20, 160, ink, 3, cv2.LINE_AA)
    cv2.putText(image, "probe", (58, 154), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
    info = FaceInfo(device, PROBE, captured, (0, 0, 160, 160), 1.0, "probe")
    return encode_face(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), info)
