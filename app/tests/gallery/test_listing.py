"""Newest first whatever the bucket holds, in few requests that do not grow with what is there."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from facefleet.bucket import Bucket, BucketError
from facefleet.protocol import FaceName, moment
from facefleet.services.gallery.cameras import CAMERAS_PER_PAGE, Cameras
from facefleet.services.gallery.listing import (
    FACES_PER_PAGE,
    REQUESTS_PER_CAMERA,
    SKEW,
    Camera,
    Face,
    Listing,
    Look,
    merge,
)
from facefleet.services.gallery.nav import choose
from facefleet.services.gallery.recent import Recent
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

BUSY, SPARSE, AHEAD = (Camera("nano", name) for name in ("busy", "sparse", "ahead"))
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)
FIRST = datetime(1000, 1, 1, tzinfo=UTC)


def name_of(camera: Camera, captured: datetime, seq: int) -> FaceName:
    return FaceName(*camera, captured, "0a1b2c3d", seq, f"{seq:08x}")


def key_of(camera: Camera, captured: datetime, seq: int) -> str:
    return str(name_of(camera, captured, seq))


def after_camera(key: str) -> str:
    return key.split("/", 3)[3]


def a_bucketful(now: datetime) -> list[str]:
    """Faces of a steady camera, in bursts, and with years between, to the first day there is."""
    draw = random.Random(1)
    steady = [now - timedelta(seconds=i / 5) for i in range(500)]
    burst = [now - timedelta(days=3, seconds=draw.random()) for _ in range(300)]
    rare = [now - timedelta(days=400 * i, hours=draw.random() * 20) for i in range(4)]
    twins = [now - timedelta(days=40)] * 5
    old = [FIRST, FIRST + timedelta(seconds=1)]
    return [
        key_of(camera, captured, seq)
        for camera, times in ((BUSY, steady + burst), (SPARSE, rare + twins + old))
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
    """An in-process S3 server, what a gallery sees of it, and how many requests were made."""

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
        self.requests = 0
        bucket = Bucket(client, "faces")
        self.listing, self.cameras = Listing(bucket), Cameras(bucket)
        self.recent = Recent(self.listing)
        self._client = client

    def close(self) -> None:
        self.cameras.close()
        self.recent.close()
        self._client.close()

    def put(self, *keys: str) -> None:
        """Straight into the server's store: a PUT each would take longer than all the tests."""
        for key in keys:
            s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object("faces", key, b"")

    def take(self) -> int:
        """The requests since it was asked last."""
        made, self.requests = self.requests, 0
        return made

    def page(self, page: int = 1, **chosen: str) -> list[Look]:
        """What a page shows."""
        return self.recent.looks(choose(self.cameras, chosen, page).shown)

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
    lab.close()
    server.stop()


def keys(look: Look) -> list[str]:
    return [face.key for face in look.faces]


def test_every_face_once_newest_first_whatever_the_page(lab: Lab, now: datetime) -> None:
    faces = a_bucketful(now)
    future = [key_of(AHEAD, now + timedelta(days=2), seq) for seq in range(1, 300)]
    lab.put(*faces, *future, *JUNK)
    cameras = lab.cameras.of("nano")
    assert cameras == [AHEAD, BUSY, SPARSE]

    walked, before = [], None
    while True:
        page, has_older = merge(lab.recent.looks(cameras, before))
        walked += [face.key for face in page]
        if not has_older:
            break
        before = page[-1].key
    assert walked == sorted(faces, key=after_camera, reverse=True)


def test_a_page_takes_few_requests_however_much_there_is(lab: Lab, now: datetime) -> None:
    faces = a_bucketful(now)
    lab.put(*faces, *JUNK)
    lab.take()

    assert len(lab.listing.newest(BUSY).faces) == FACES_PER_PAGE
    assert lab.take() == 1  # a running camera: its last moments are enough

    before = sorted(key for key in faces if key.startswith(BUSY.prefix))[280]
    assert len(lab.listing.newest(BUSY, before).faces) == FACES_PER_PAGE
    assert lab.take() <= 12  # into the burst: 300 faces within a second

    look = lab.listing.newest(SPARSE)
    assert len(look.faces) == 11
    assert look.is_whole
    assert lab.take() <= REQUESTS_PER_CAMERA  # over a thousand years


def test_a_camera_that_was_quiet_for_a_minute_takes_two_requests(lab: Lab, now: datetime) -> None:
    faces = [key_of(BUSY, now - timedelta(seconds=60 + 10 * i), 1000 - i) for i in range(999)]
    lab.put(*faces)
    lab.take()
    assert keys(lab.listing.newest(BUSY)) == faces[:FACES_PER_PAGE]
    assert lab.take() == 2


@pytest.mark.parametrize("later", [0, 1])
def test_what_is_no_face_costs_few_requests(lab: Lab, now: datetime, later: int) -> None:
    """A thousand objects sort before the face in its own day, or are in the day after it."""
    noon = now.replace(hour=12) - timedelta(days=2)
    face = key_of(BUSY, noon, 1)
    day = f"{BUSY.prefix}{noon + timedelta(days=later):%Y/%m/%d}"
    lab.put(face, *(f"{day}/{number:06}.txt" for number in range(1000)))
    lab.take()
    assert keys(lab.listing.newest(BUSY)) == [face]
    assert lab.take() <= REQUESTS_PER_CAMERA


def test_one_look_is_bounded_and_the_next_goes_on(lab: Lab, now: datetime) -> None:
    daily = [key_of(SPARSE, now - timedelta(days=day), 1000 - day) for day in range(50)]
    lab.put(*daily)
    lab.take()
    look = lab.listing.newest(SPARSE)
    assert lab.take() <= REQUESTS_PER_CAMERA
    assert not look.is_whole
    walked = keys(look)
    while not look.is_whole:
        look = lab.listing.newest(SPARSE, walked[-1])
        walked += keys(look)
    assert walked == daily


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("claims", [LAST, "now + 400 days"], ids=["the last day", "400 days ahead"])
def test_a_clock_that_is_ahead_hides_nobody_and_is_told(
    lab: Lab, now: datetime, claims: datetime | str, count: int
) -> None:
    claims = claims if isinstance(claims, datetime) else now + timedelta(days=400)
    ahead = [key_of(AHEAD, claims - timedelta(microseconds=i), i + 1) for i in range(count)]
    good = [key_of(BUSY, now - timedelta(minutes=i), i + 1) for i in range(3)]
    lab.put(*ahead, *good)
    looks = lab.page()
    page, has_older = merge(looks)
    assert [face.key for face in page] == good
    assert not has_older
    assert [look.off.camera for look in looks if look.off] == [AHEAD]

    # Its camera's own page of them has all.
    lab.take()
    apart, after = [], None
    while found := [face.key for face in lab.listing.apart(AHEAD, after)]:
        apart += found
        after = found[-1]
    assert apart == sorted(ahead)
    assert lab.take() <= 3 + count / FACES_PER_PAGE


def test_a_camera_whose_clock_was_ahead_shows_what_came_since(lab: Lab, now: datetime) -> None:
    lab.put(*(key_of(AHEAD, now + timedelta(days=400, seconds=i), i + 1) for i in range(300)))
    right = key_of(AHEAD, now, 301)
    lab.put(right)
    look = lab.listing.newest(AHEAD)
    assert keys(look) == [right]
    assert look.off.ahead > timedelta(days=399)


def test_one_that_is_busy_and_ahead_is_told_too(lab: Lab, now: datetime) -> None:
    lab.put(*(key_of(AHEAD, now - timedelta(milliseconds=i), i + 1) for i in range(400)))
    lab.put(key_of(AHEAD, LAST, 500))
    look = lab.listing.newest(AHEAD)
    assert len(look.faces) == FACES_PER_PAGE
    assert look.off.name.captured == LAST


@pytest.mark.parametrize("claims", [FIRST, datetime(2000, 1, 1, tzinfo=UTC)])
def test_a_clock_that_is_behind_is_marked_and_listed_apart(
    lab: Lab, now: datetime, claims: datetime
) -> None:
    behind = [key_of(AHEAD, claims + timedelta(seconds=i), i + 1) for i in range(3)]
    good = [key_of(AHEAD, now - timedelta(minutes=i), 10 - i) for i in range(3)]
    lab.put(*behind, *good)
    look = lab.listing.newest(AHEAD)
    assert keys(look) == [*good, *reversed(behind)]
    assert [face.is_off for face in look.faces] == [False] * 3 + [True] * 3
    assert look.off.key == behind[0]
    assert [face.key for face in lab.listing.apart(AHEAD)] == behind


def test_a_clock_within_its_tolerance_is_right(lab: Lab, now: datetime) -> None:
    slightly = key_of(AHEAD, now + SKEW / 2, 1)
    lab.put(slightly)
    look = lab.listing.newest(AHEAD)
    assert keys(look) == [slightly]
    assert look.off is None


@pytest.mark.parametrize("captured", [FIRST, LAST, datetime(2026, 3, 1, tzinfo=UTC)])
def test_any_face_is_a_place_to_go_on_from(lab: Lab, now: datetime, captured: datetime) -> None:
    good = key_of(BUSY, now - timedelta(hours=1), 1)
    lab.put(good, key_of(BUSY, LAST, 2), key_of(BUSY, FIRST, 3))
    expected = [good, key_of(BUSY, FIRST, 3)]
    before = key_of(Camera("other", "one"), captured, 1)
    assert keys(lab.listing.newest(BUSY, before)) == [
        key for key in expected if after_camera(key) < after_camera(before)
    ]


def test_moments_sort_as_times_do() -> None:
    times = [FIRST - timedelta(seconds=20), FIRST, datetime(2026, 1, 1, tzinfo=UTC), LAST]
    assert sorted(map(moment, times)) == [moment(time) for time in times]


# -- what a page costs -------------------------------------------------------------------------


def fleet(now: datetime, devices: int, cameras: int) -> list[str]:
    return [
        key_of(Camera(f"edge-{d}", f"cam-{c}"), now - timedelta(seconds=d + c), 1)
        for d in range(devices)
        for c in range(cameras)
    ]


ONE_LOOK = 8  # requests, roughly, for a camera that rests


@pytest.mark.parametrize(("devices", "cameras"), [(300, 1), (CAMERAS_PER_PAGE, 12), (2, 379)])
def test_a_page_costs_no_more_for_cameras_that_it_does_not_show(
    lab: Lab, now: datetime, devices: int, cameras: int
) -> None:
    lab.put(*fleet(now - timedelta(days=1), devices, cameras))
    lab.take()
    looks = lab.page()
    assert len(looks) == CAMERAS_PER_PAGE
    assert lab.take() <= 1 + CAMERAS_PER_PAGE + CAMERAS_PER_PAGE * ONE_LOOK
    assert {look.camera.device for look in looks} >= {"edge-0", "edge-1"}

    assert len(lab.page(device="edge-1", camera="cam-0")) == 1
    assert lab.take() <= 1 + ONE_LOOK
    assert len(lab.page(device="edge-1")) == min(cameras, CAMERAS_PER_PAGE)
    assert lab.take() <= 1 + CAMERAS_PER_PAGE * ONE_LOOK


def test_every_camera_is_on_some_page(lab: Lab, now: datetime) -> None:
    lab.put(*fleet(now, 60, 1), *fleet(now, 1, 60))
    devices, cameras, page = [], [], 1
    while part := choose(lab.cameras, {}, page).devices:
        devices += [device.name for device in part]
        page += 1
    assert devices == sorted(f"edge-{d}" for d in range(60))
    page = 1
    while part := choose(lab.cameras, {"device": "edge-0"}, page).shown:
        cameras += [camera.name for camera in part]
        page += 1
    assert cameras == sorted(f"cam-{c}" for c in range(60))


def test_one_devices_cameras_take_no_place_of_anothers(lab: Lab, now: datetime) -> None:
    lab.put(*fleet(now, 3, 1), *fleet(now, 1, 379))
    shown = choose(lab.cameras, {}, 1).shown
    assert [camera.device for camera in shown[:3]] == ["edge-0", "edge-1", "edge-2"]
    assert len(shown) == CAMERAS_PER_PAGE


def test_those_heard_last_are_on_the_first_page_of_many(lab: Lab, now: datetime) -> None:
    lab.put(*fleet(now, 100, 1))
    heard = Camera("edge-99", "cam-0")
    lab.cameras.hear(heard)
    for number in range(1000):  # one device that makes cameras up
        lab.cameras.hear(Camera("edge-98", f"made-up-{number}"))
    nav = choose(lab.cameras, {}, 1)
    assert heard in nav.shown
    assert len({camera.device for camera in nav.shown}) > CAMERAS_PER_PAGE / 2
    assert not nav.is_whole
    assert nav.pages == 5


def test_a_page_again_costs_nothing_while_new_faces_are_heard_of(lab: Lab, now: datetime) -> None:
    old = [key_of(BUSY, now - timedelta(days=1, seconds=i), 100 - i) for i in range(70)]
    lab.put(*old)
    lab.recent.connect(True)
    assert merge(lab.page())[1]
    lab.take()

    new, late = name_of(BUSY, now, 200), name_of(BUSY, now - timedelta(days=1, seconds=-1), 201)
    future = name_of(BUSY, now + timedelta(days=3), 202)
    for name in (new, late, future, new):
        lab.put(str(name))
        lab.recent.hear(Face(name, datetime.now(UTC)))
    (look,) = lab.page()
    assert keys(look) == [str(new), str(late), *old[: FACES_PER_PAGE - 2]]
    assert look.off.name == future
    assert lab.take() == 0

    lab.recent.connect(False)
    lab.page()
    assert lab.take() > 0


def test_what_is_heard_during_a_look_is_in_it(lab: Lab, now: datetime) -> None:
    old, new = name_of(BUSY, now - timedelta(days=1), 1), name_of(BUSY, now, 2)
    lab.put(str(old))
    lab.recent.connect(True)
    found = lab.listing.newest(BUSY)

    def look_slowly(camera: Camera) -> Look:
        lab.recent.hear(Face(new, datetime.now(UTC)))  # stored after the bucket was asked
        return found

    lab.listing.newest = look_slowly
    (look,) = lab.recent.looks([BUSY])
    assert keys(look) == [str(new), str(old)]


def test_many_at_once_are_one_question(lab: Lab, now: datetime) -> None:
    lab.put(key_of(BUSY, now, 1))
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda _: lab.recent.looks([BUSY]), range(50)))
    assert {keys(look)[0] for (look,) in pages} == {key_of(BUSY, now, 1)}
    assert lab.take() <= ONE_LOOK


def test_a_look_that_fails_is_not_kept(lab: Lab, now: datetime) -> None:
    lab.put(key_of(BUSY, now, 1))
    newest = lab.listing.newest

    def fails(camera: Camera) -> Look:
        raise BucketError("no")

    lab.listing.newest = fails
    with pytest.raises(BucketError):
        lab.recent.looks([BUSY])
    lab.listing.newest = newest
    (look,) = lab.recent.looks([BUSY])
    assert keys(look) == [key_of(BUSY, now, 1)]
