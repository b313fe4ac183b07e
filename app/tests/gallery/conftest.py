"""A real S3 server and broker, a real gallery and a real browser, and faces to show."""

import contextlib
import os
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import quote

import boto3
import cv2
import paho.mqtt.publish
import pytest
from facefleet import news
from facefleet.exif import FaceInfo
from facefleet.protocol import FaceName, content_tag
from facefleet.vision.detectors import Detection
from facefleet.vision.faces import crop_face, encode_face
from selenium import webdriver

from support.rig import AWS, BUCKET, Process, Rig

_SAMPLES = Path(__file__).parents[2] / "src/facefleet/vision/samples"
_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1280,800"
)
_numbers = count(1)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """An S3 server: its `process`, `endpoint` and a `client`."""
    with Rig(tmp_path_factory.mktemp("s3")) as rig:
        process, endpoint = rig.moto()
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=AWS["AWS_REGION"],
            aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
        )
        yield SimpleNamespace(process=process, endpoint=endpoint, client=client)
        client.close()


class Gallery(SimpleNamespace):
    """`url`, `process`, `broker`, `store` to put an object, and `say` to publish something."""

    url: str
    process: Process
    broker: Process
    store: Callable[[str, bytes], None]
    say: Callable[[str, bytes], None]

    def face(
        self,
        device: str,
        camera: str,
        captured: datetime,
        detector: str = "haar",
        says_camera: str | None = None,
        told: bool = True,
    ) -> str:
        """Store a face as the pipeline does; `says_camera`: what its EXIF says instead. The key.

        `told`: whether the broker passes it on.
        """
        jpeg = _jpeg(device, says_camera or camera, captured, detector)
        number = next(_numbers)
        name = FaceName(device, camera, captured, "0a1b2c3d", number, content_tag(jpeg))
        self.store(str(name), jpeg)
        if told:
            self.say(news.stored_topic(device, camera), news.encode(device, camera, [str(name)]))
        return str(name)

    def lists(self) -> int:
        """LIST requests that it has made so far."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            found = re.search(
                r"^facefleet_gallery_lists_total (\S+)$", answer.read().decode(), re.M
            )
        return int(float(found[1]))


def _jpeg(device: str, camera: str, captured: datetime, detector: str) -> bytes:
    image = cv2.imread(str(_SAMPLES / "astronaut.jpg"))
    face = Detection(180, 60, 110, 130, 0.97)
    info = FaceInfo(device, camera, captured, face.box, face.score, detector)
    return encode_face(crop_face(image, face), info)


@pytest.fixture(scope="session")
def running(
    moto: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    with Rig(tmp_path_factory.mktemp("gallery")) as rig:
        broker, port = rig.mosquitto("cloud")
        process, url = rig.service(
            "gallery",
            bucket=BUCKET,
            broker=f"mqtt://127.0.0.1:{port}",
            AWS_ENDPOINT_URL=moto.endpoint,
        )
        yield SimpleNamespace(broker=broker, port=port, process=process, url=url)


@pytest.fixture
def gallery(moto: SimpleNamespace, running: SimpleNamespace) -> Iterator[Gallery]:
    """A gallery whose bucket is empty; one process for all tests, as starting it takes seconds."""

    def store(key: str, content: bytes) -> None:
        moto.client.put_object(Bucket=BUCKET, Key=key, Body=content, ContentType="image/jpeg")

    def say(topic: str, payload: bytes) -> None:
        paho.mqtt.publish.single(topic, payload, qos=1, hostname="127.0.0.1", port=running.port)

    url = running.url
    yield Gallery(url=url, process=running.process, broker=running.broker, store=store, say=say)
    stored = moto.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    for item in stored:
        moto.client.delete_object(Bucket=BUCKET, Key=item["Key"])
    # It learns that a camera's faces are gone when somebody asks for one of them.
    for key in {item["Key"].split("/2")[0]: item["Key"] for item in stored}.values():
        with contextlib.suppress(HTTPError), urllib.request.urlopen(f"{url}/image/{quote(key)}"):
            pass


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = shutil.which("chromedriver")
    if driver is None:
        because = "chromedriver is missing: install it (apt-get install chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(because)
        pytest.skip(because)
    options = webdriver.ChromeOptions()
    for flag in _FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as chrome:
        yield chrome


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """Chromium with an empty page and an empty console."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    yield chromium
    chromium.get("about:blank")  # ends the stream, so that the gallery may end
