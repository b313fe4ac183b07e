"""A probe face through every hop of one device; the hop that it does not pass is named."""

import asyncio
import secrets
import time
from datetime import UTC, datetime

import cv2
import numpy as np

from facefleet.errors import FacefleetError
from facefleet.mqtt import Connection
from facefleet.names import FaceName, Receipt, camera_prefix, content_tag, receipts_topic
from facefleet.settings import VerifySettings
from facefleet.vision.detectors import Detection
from facefleet.vision.faces import encode_face

CAMERA = "probe"
AGAIN = 2.0  # seconds: the probe has no outbox, so it is sent until it has passed


class VerifyError(FacefleetError):
    """The probe did not arrive."""


def send_probe(settings: VerifySettings, timeout: float) -> None:
    """Print a line a hop passed. Raises VerifyError that names the first one not passed."""
    asyncio.run(_Probe(settings).run(timeout))


class _Probe:
    def __init__(self, settings: VerifySettings) -> None:
        self._settings = settings
        captured = datetime.now(UTC)
        self._jpeg = _picture(settings.device, captured)
        self._name = FaceName(
            settings.device,
            CAMERA,
            captured,
            secrets.token_hex(4),
            1,
            content_tag(self._jpeg),
        )
        receipts = receipts_topic(settings.device, CAMERA)
        faces = camera_prefix(settings.device, CAMERA) + "#"
        self._seen = {hop: asyncio.Event() for hop in ("edge", "cloud", "receipt", "back")}
        self._edge = Connection(
            settings.edge_broker,
            "",
            subscriptions=[(faces, 0), (receipts, 0)],
            on_message=lambda topic, payload, _: self._hear(topic, payload, "edge", "back"),
        )
        self._cloud = Connection(
            settings.cloud_broker,
            "",
            subscriptions=[(faces, 0), (receipts, 0)],
            on_message=lambda topic, payload, _: self._hear(topic, payload, "cloud", "receipt"),
        )

    def _hear(self, topic: str, payload: bytes, face: str, receipt: str) -> None:
        if topic == str(self._name):
            self._seen[face].set()
        elif (found := Receipt.decode(payload)) and found.epoch == self._name.epoch:
            self._seen[receipt].set()

    async def run(self, timeout: float) -> None:
        device = self._settings.device
        edge, cloud = self._settings.edge_broker, self._settings.cloud_broker
        hops = [
            ("edge", "the device's broker", f"nothing answers at {edge}: is the broker running?"),
            (
                "cloud",
                "the forwarder",
                f"it was on {edge} and did not come to {cloud}: is the forwarder of {device} "
                "ready, and the cloud's broker within its reach?",
            ),
            (
                "receipt",
                "the processor",
                f"it was on {cloud} and no receipt came: is the processor ready?",
            ),
            ("back", "the way back", f"its receipt did not come back to {edge}"),
        ]
        tasks = [
            asyncio.create_task(work)
            for work in (self._edge.run(), self._cloud.run(), self._repeat())
        ]
        started = time.monotonic()
        try:
            for hop, name, sentence in hops:
                try:
                    await asyncio.wait_for(
                        self._seen[hop].wait(), max(0.1, timeout - (time.monotonic() - started))
                    )
                except TimeoutError:
                    raise VerifyError(
                        f"the probe face of {device} did not pass {name}: {sentence}"
                    ) from None
                print(f"{device}: passed {name} after {time.monotonic() - started:.2f} s")
            if self._settings.bucket is not None:
                self._look_into_the_bucket()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _repeat(self) -> None:
        while True:
            if not self._edge.publish(str(self._name), self._jpeg):
                await asyncio.sleep(0.05)  # not connected yet
            else:
                await asyncio.sleep(AGAIN)

    def _look_into_the_bucket(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        from facefleet.store import s3_client  # a device's image has none of these

        bucket, key = self._settings.bucket, str(self._name)
        try:
            stored = s3_client().get_object(Bucket=bucket, Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise VerifyError(
                f"the probe face was confirmed, but {bucket} has it not: {error}"
            ) from error
        if stored != self._jpeg:
            raise VerifyError(f"the probe face in {bucket} is not the one that was sent: {key}")
        print(f"{self._settings.device}: in the bucket as {key}")


def _picture(device: str, captured: datetime) -> bytes:
    """A drawn face: 160 x 160 pixels, gray, with the EXIF of any other."""
    image = np.full((160, 160, 3), 235, np.uint8)
    ink = (40, 40, 40)
    cv2.circle(image, (80, 80), 62, ink, 3, cv2.LINE_AA)
    for eye in (58, 102):
        cv2.circle(image, (eye, 64), 6, ink, -1, cv2.LINE_AA)
    cv2.ellipse(image, (80, 86), (30, 24), 0, 20, 160, ink, 3, cv2.LINE_AA)
    cv2.putText(image, "probe", (58, 154), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
    return encode_face(
        image,
        Detection(0, 0, 160, 160, 1.0),
        device=device,
        camera=CAMERA,
        captured=captured,
        detector="probe",
    )
