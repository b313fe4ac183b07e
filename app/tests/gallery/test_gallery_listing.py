"""Newest first whatever the bucket holds, in few requests."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import boto3
import pytest
from facefleet.names import FaceName
from facefleet.services.gallery.bucket import Bucket
from facefleet.services.gallery.listing import Camera, Listing, merge, moment
from facefleet.services.gallery.live import Poller
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

BUSY, SPARSE, AHEAD = (Camera("nano", name) for name in ("busy", "sparse", "ahead"))


def key_of(camera: Camera, captured: datetime, seq: int) -> str:
    return str(FaceName(*camera, captured, "0a1b2c3d", seq, f"{seq:08x}"))


def a_bucketful(now: datetime) -> list[str]:
    """Faces of a steady camera, in bursts, with years between, and from a clock that is ahead."""
    draw = random.Random(1)
    steady = [now - timedelta(seconds=i / 5) for i in range(500)]
    burst = [now - timedelta(days=3, seconds=draw.random()) for _ in range(300)]
    rare = [now - timedelta(days=400 * i, hours=draw.random() * 20) for i in range(4)]
    twins = [now - timedelta(days=40)] * 5
    ahead = [now + timedelta(days=2) - timedelta(minutes=i) for i in range(300)]
    return [
        key_of(camera, captured, seq)
        for camera, times in ((BUSY, steady + burst), (SPARSE, rare + twins), (AHEAD, ahead))
        for seq, captured in enumerate(sorted(times), start=1)
    ]


JUNK = [
    "faces/nano/sparse/readme.txt",
    "faces/nano/sparse/2026/13/45/x.jpg",
    "faces/nano/sparse/zzz/later.jpg",
    "faces/nano/sparse/0001/01/01/000000.000000-0a1b2c3d-1-00000001.jpg",
    "faces/<b>nano</b>/door/2026/01/01/000000.000000-0a1b2c3d-1-00000001.jpg",
    "faces/lonely.jpg",
    "quarantine/nano/busy/2026/01/01/000000.000000-0a1b2c3d-1-00000001.jpg",
]


class Lab:
    """A listing of an in-process S3 server, and how many requests it has made."""

    def __init__(self, endpoint: str) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_bucket(Bucket="faces")
        client.meta.events.register("before-send.s3", self._count)
        self.close = client.close
        self.requests = 0
        self.listing = Listing(Bucket(client, "faces"), requests_at_a_time=2)

    def put(self, *keys: str) -> None:
        """Straight into the server's store: a PUT each would take longer than all the tests."""
        for key in keys:
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object("faces", key, b"")

    def take(self) -> int:
        """The requests since it was asked last."""
        made, self.requests = self.requests, 0
        return made

    def _count(self, **_: object) -> None:
        self.requests += 1


@pytest.fixture
def lab() -> Iterator[Lab]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    s3_backends.reset()
    host, port = server.get_host_and_port()
    lab = Lab(f"http://{host}:{port}")
    yield lab
    lab.listing.close()
    lab.close()
    server.stop()


def test_every_face_once_newest_first_whatever_the_page(lab: Lab, now: datetime) -> None:
    keys = a_bucketful(now)
    lab.put(*keys, *JUNK)
    cameras = lab.listing.cameras()
    assert cameras == [AHEAD, BUSY, SPARSE]

    walked, before = [], None
    while page := merge(lab.listing.latest(cameras, 240, before), 240):
        walked += page
        before = page[-1]
    assert walked == sorted(keys, key=moment, reverse=True)


def test_a_page_takes_few_requests_however_much_there_is(lab: Lab, now: datetime) -> None:
    keys = a_bucketful(now)
    lab.put(*keys, *JUNK)
    lab.take()

    lab.listing.latest([BUSY], 60)
    assert lab.take() == 1  # a running camera: its last moments are enough

    before = sorted(key for key in keys if key.startswith(BUSY.prefix))[280]
    (found,) = lab.listing.latest([BUSY], 60, before)
    assert len(found) == 60
    assert lab.take() <= 12  # into the burst: 300 faces within a second

    (found,) = lab.listing.latest([SPARSE], 9)
    assert len(found) == 9
    assert lab.take() <= 30  # nine faces over three years

    lab.listing.latest([AHEAD], 60)
    # The last moments do not help, as everything is later; how many it takes depends on the hour.
    assert lab.take() <= 16


def test_a_poll_is_one_request_a_camera_and_finds_each_face_once(lab: Lab, now: datetime) -> None:
    lab.put(key_of(BUSY, now - timedelta(hours=1), 1), key_of(SPARSE, now, 1))
    poller = Poller(lab.listing)
    assert poller.poll().kind == "refresh"
    lab.take()

    assert poller.poll() is None
    assert lab.take() == 2

    fresh = key_of(BUSY, now, 3)
    lab.put(fresh)
    assert poller.poll().keys == (fresh,)
    late = key_of(BUSY, now - timedelta(seconds=2), 2)  # stored after a face taken later
    lab.put(late)
    assert poller.poll().keys == (late,)
    assert poller.poll() is None


def test_a_poll_gets_through_a_flood(lab: Lab, now: datetime) -> None:
    lab.put(key_of(BUSY, now, 1))
    poller = Poller(lab.listing)
    poller.poll()
    flood = [key_of(BUSY, now + timedelta(milliseconds=i), i + 1) for i in range(1, 600)]
    lab.put(*flood)
    events = [poller.poll() for _ in range(6)]
    assert [key for event in events if event for key in event.keys] == flood


def test_a_poll_says_that_a_camera_has_come(lab: Lab, now: datetime) -> None:
    poller = Poller(lab.listing)
    assert poller.poll().kind == "refresh"
    lab.put(key_of(BUSY, now, 1))
    assert "refresh" in [event.kind for event in (poller.poll() for _ in range(6)) if event]
