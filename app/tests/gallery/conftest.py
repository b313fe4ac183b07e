"""A real S3 server, a real gallery and a real browser, and faces to show."""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import boto3
import cv2
import pytest
from facefleet.names import FaceName, content_tag
from facefleet.vision.detectors import Detection
from facefleet.vision.faces import encode_face
from selenium import webdriver

from lab.rig import AWS, BUCKET, Process, Rig

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
    """`url`, `process`, and `store` to put objects into the bucket."""

    url: str
    process: Process
    store: Callable[[str, bytes], None]

    def face(
        self,
        device: str,
        camera: str,
        captured: datetime,
        detector: str = "haar",
        says_camera: str | None = None,
    ) -> str:
        """Store a face as the pipeline does; `says_camera`: what its EXIF says instead. The key."""
        jpeg = _jpeg(device, says_camera or camera, captured, detector)
        number = next(_numbers)
        key = str(FaceName(device, camera, captured, "0a1b2c3d", number, content_tag(jpeg)))
        self.store(key, jpeg)
        return key


def _jpeg(device: str, camera: str, captured: datetime, detector: str) -> bytes:
    image = cv2.imread(str(_SAMPLES / "astronaut.jpg"))
    detection = Detection(180, 60, 110, 130, 0.97)
    return encode_face(
        image, detection, device=device, camera=camera, captured=captured, detector=detector
    )


@pytest.fixture(scope="session")
def running(
    moto: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Process, str]]:
    with Rig(tmp_path_factory.mktemp("gallery")) as rig:
        yield rig.service("gallery", bucket=BUCKET, AWS_ENDPOINT_URL=moto.endpoint)


@pytest.fixture
def gallery(moto: SimpleNamespace, running: tuple[Process, str]) -> Iterator[Gallery]:
    """A gallery whose bucket is empty; one process for all tests, as starting it takes seconds."""
    process, url = running

    def store(key: str, content: bytes) -> None:
        moto.client.put_object(Bucket=BUCKET, Key=key, Body=content, ContentType="image/jpeg")

    yield Gallery(url=url, process=process, store=store)
    stored = moto.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
    for item in stored:
        moto.client.delete_object(Bucket=BUCKET, Key=item["Key"])


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
