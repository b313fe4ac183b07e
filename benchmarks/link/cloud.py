"""The cloud of a link: broker, processor and S3 server, and a note of what is stored when."""

import time
from pathlib import Path

import paho.mqtt.client as paho
from facefleet import news

from benchmarks.feeder import DEVICE
from benchmarks.plain import connect
from support.authority import Authority
from support.cloud import GALLERY, PROCESSOR, Cloud, certificate
from support.rig import BUCKET, Rig, await_true, contents, ready

START = 180.0  # seconds for a service to start, beside those of all other ways


class Far:
    """The cloud's end, in this network namespace."""

    def __init__(self, rig: Rig, address: str, qos: int) -> None:
        authority = Authority("fleet")
        self.broker = Cloud(rig, authority, address=address)
        self.tls = certificate(rig.folder / "device", authority, DEVICE)
        _, self._endpoint = rig.s3()
        _, url = rig.service(
            "processor",
            wait=False,
            broker=self.broker.url,
            tls=certificate(rig.folder / "processor", authority, PROCESSOR),
            bucket=BUCKET,
            qos=qos,
            AWS_ENDPOINT_URL=self._endpoint,
        )
        await_true(lambda: ready(url), "the processor is ready", START)
        self.stored: dict[int, float] = {}
        """When a face was stored (monotonic seconds), by its number in the outbox."""
        self._listen(certificate(rig.folder / "gallery", authority, GALLERY), address)

    def _listen(self, tls: Path, address: str) -> None:
        """Note the processor's announcements, as the gallery does."""
        subscribed = []
        client = connect("gallery", self.broker.port, 0, host=address, tls=tls, keep_alive=60)
        client.on_connect = lambda *_: client.subscribe(news.STORED)
        client.on_subscribe = lambda *_: subscribed.append(True)
        client.on_message = self._note
        client.loop_start()
        await_true(lambda: subscribed, "the announcements are subscribed to")
        self._client = client

    def _note(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        now = time.monotonic()
        for name in news.decode(message.topic, message.payload):
            self.stored.setdefault(name.seq, now)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def etags(self) -> list[str]:
        """Return the MD5 of each object in the bucket."""
        return contents(self._endpoint)
