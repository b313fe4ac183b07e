"""The processor as a process: what it stores, sets aside, waits for, and how it leaves."""

import hashlib
import json
import signal
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import pytest
from facefleet.evidence import md5
from facefleet.news import decode
from facefleet.protocol import FaceName, Receipt, content_tag
from facefleet.services.processor import MAX_UNSTORED, OVERHEAD, Yield

from support import picture
from support.listener import Listener
from support.rig import BUCKET, Rig, await_true, free_port, keys, ready, s3, unmet

EPOCH = "0123abcd"
MAX_FACE = 20_000


def jpeg(number: int, size: int = 1000) -> bytes:
    return picture.jpeg(b"%d" % number + bytes(size))


def name(seq: int, data: bytes, camera: str) -> FaceName:
    at = datetime(2026, 2, 28, 23, 59, 59, seq % 1_000_000, UTC)
    return FaceName("edge-1", camera, at, EPOCH, seq, content_tag(data))


def topic(seq: int, data: bytes, camera: str) -> str:
    return name(seq, data, camera).topic


def metric(url: str, name: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith((name + " ", name + "{"))
    )


def processor(rig: Rig, port: int, endpoint: str, **more: object):
    return rig.service(
        "processor",
        broker=f"mqtt://127.0.0.1:{port}",
        bucket=BUCKET,
        AWS_ENDPOINT_URL=endpoint,
        **more,
    )


class Running:
    """A processor with broker and S3, which the tests that break nothing share."""

    def __init__(self, rig: Rig) -> None:
        _, self.port = rig.mosquitto("broker")
        _, self.endpoint = rig.moto()
        self.process, self.url = processor(rig, self.port, self.endpoint, max_face_bytes=MAX_FACE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Rig(tmp_path_factory.mktemp("processor")) as rig:
        yield Running(rig)


@pytest.mark.parametrize("camera", ["one", "of-version-0-1"])
def test_a_face_is_stored_and_confirmed(running: Running, camera: str) -> None:
    data = jpeg(1)
    key = str(name(1, data, camera))
    with Listener(running.port, f"receipts/edge-1/{camera}") as listener:
        listener.say(topic(1, data, camera) if camera == "one" else key, data)
        await_true(lambda: listener.receipts("edge-1", camera), "a receipt comes")
        (receipt,) = listener.receipts("edge-1", camera)
    assert (receipt.epoch, receipt.stored) == (EPOCH, [(1, content_tag(data))])
    assert datetime.now(UTC).date() - receipt.day <= timedelta(days=1)  # not the camera's day
    assert not receipt.quarantined
    assert not receipt.refused
    found = s3(running.endpoint).get_object(Bucket=BUCKET, Key=key)
    assert found["Body"].read() == data
    assert found["ContentType"] == "image/jpeg"


def test_who_shows_faces_is_told_what_was_stored(running: Running) -> None:
    data, other = jpeg(1), jpeg(2)
    key = topic(1, data, "told")
    with Listener(running.port, "stored/#", "receipts/edge-1/told") as listener:
        listener.say(topic(2, other, "told"), data)  # not the one that its tag names
        for times in (1, 2):  # what was lost on its way comes again with the face
            listener.say(key, data)
            await_true(
                lambda times=times: len(listener.on("stored/edge-1/told")) == times, "it is told"
            )
        assert all(
            decode("stored/edge-1/told", payload) == [FaceName.of_topic(key)]
            for payload in listener.on("stored/edge-1/told")
        )
        assert listener.stored("edge-1", "told") == [1, 1]


def test_two_detectors_that_report_one_camera_are_told(running: Running) -> None:
    def say(instance: str, epoch: str) -> None:
        status = {"state": "online", "instance": instance, "epoch": epoch}
        listener.say("status/edge-1/twins", json.dumps(status).encode())

    def notices() -> list[str]:
        found = [Receipt.decode(payload) for payload in listener.on("receipts/edge-1/twins")]
        return [receipt.epoch for receipt in found if receipt.clone]

    with Listener(running.port, "receipts/edge-1/twins") as listener:
        say("aaaaaaaa", EPOCH)
        say("bbbbbbbb", EPOCH)
        say("aaaaaaaa", EPOCH)
        await_true(lambda: notices() == [EPOCH], "the first hears that its epoch is shared")
        say("bbbbbbbb", "4567abcd")
        await_true(lambda: notices() == [EPOCH, ""], "the second, which has left it, hears less")
    assert metric(running.url, "facefleet_clones_seen_total") == 2
    lines = [line for line in running.process.log.read_text().splitlines() if "one name" in line]
    told = [(entry["device"], entry["camera"]) for entry in map(json.loads, lines)]
    assert told == [("edge-1", "twins")] * 2


def test_a_face_sent_five_times_at_once_is_put_once(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    _, endpoint = rig.sink(seconds=1)
    processor(rig, port, endpoint)
    data = jpeg(2)
    with Listener(port, "receipts/#") as listener:
        for _ in range(5):
            listener.say(topic(2, data, "five"), data)
        await_true(lambda: listener.stored("edge-1", "five"), "a receipt comes")
        known = len(listener.stored("edge-1", "five"))
        listener.say(topic(2, data, "five"), data)  # from a sender that did not hear it
        await_true(lambda: len(listener.stored("edge-1", "five")) > known, "it is told again")
        listener.say(topic(3, jpeg(3), "five"), jpeg(3))
        await_true(lambda: 3 in listener.stored("edge-1", "five"), "another follows")
    with urllib.request.urlopen(endpoint, timeout=5) as answer:
        assert json.load(answer)["puts"] == 4  # the probe twice, and one each


def test_a_face_that_was_there_before_is_confirmed(running: Running) -> None:
    data = jpeg(3)
    key = str(name(3, data, "before"))
    s3(running.endpoint).put_object(Bucket=BUCKET, Key=key, Body=data)
    with Listener(running.port, "receipts/edge-1/before") as listener:
        listener.say(topic(3, data, "before"), data)
        await_true(lambda: listener.stored("edge-1", "before") == [3], "a receipt comes")


TOO_BIG = jpeg(5, MAX_FACE)
NOT_A_FACE = {
    "not-a-jpeg": (b"GIF89a" + bytes(100), "the payload is not a complete JPEG"),
    "empty": (b"", "the payload is not a complete JPEG"),
    "cut-short": (jpeg(4)[:-1], "the payload is not a complete JPEG"),
    "no-picture": (b"\xff\xd8\xff\xd9", "the payload is not a complete JPEG"),
    "a-bomb": (
        picture.jpeg(b"", 65_500, 65_500),
        "65500 x 65500 pixels are more than the 33177600 allowed",
    ),
    "too-big": (TOO_BIG, f"{len(TOO_BIG)} bytes are more than the {MAX_FACE} allowed"),
}


def quarantined(running: Running, prefix: str) -> list[tuple[str, dict]]:
    client = s3(running.endpoint)
    return [
        (key, client.head_object(Bucket=BUCKET, Key=key)["Metadata"])
        for key in keys(running.endpoint, f"quarantine/{prefix}")
    ]


@pytest.mark.parametrize("camera", NOT_A_FACE)
def test_what_is_no_face_is_set_aside_once(running: Running, camera: str) -> None:
    data, reason = NOT_A_FACE[camera]
    key = topic(9, data, camera)
    with Listener(running.port, f"receipts/edge-1/{camera}") as listener:
        for times in (1, 2, 3):
            listener.say(key, data)
            await_true(
                lambda: len(listener.receipts("edge-1", camera)) == times,  # noqa: B023
                "each is confirmed as quarantined",
            )
        rows = [r.quarantined for r in listener.receipts("edge-1", camera)]
    assert rows == [[(9, content_tag(data), reason)]] * 3
    ((at, metadata),) = quarantined(running, f"edge-1/{camera}/")
    assert metadata == {"reason": reason, "topic": quote(key)}
    assert s3(running.endpoint).get_object(Bucket=BUCKET, Key=at)["Body"].read() == data
    assert keys(running.endpoint, f"faces/edge-1/{camera}/") == []


def test_another_payload_under_a_faces_name_is_set_aside_and_the_face_still_stored(
    running: Running,
) -> None:
    key = topic(9, jpeg(6), "wrong-tag")
    with Listener(running.port, "receipts/edge-1/wrong-tag") as listener:
        listener.say(key, jpeg(7))
        await_true(lambda: set_aside(running, key), "it is set aside")
        listener.say(key, jpeg(6))
        await_true(lambda: listener.receipts("edge-1", "wrong-tag"), "a receipt comes")
        (receipt,) = listener.receipts("edge-1", "wrong-tag")
    assert receipt.stored == [(9, content_tag(jpeg(6)))]
    assert not receipt.quarantined  # else the edge would forget a face that is nowhere
    assert set_aside(running, key) == ["the payload does not match the tag in the topic"]


def set_aside(running: Running, topic: str) -> list[str]:
    """The reasons of what came under a topic and confirmed nothing."""
    found = [metadata for _, metadata in quarantined(running, "unknown/")]
    return [one["reason"] for one in found if one["topic"] == quote(topic)]


def test_readiness_sees_that_nothing_comes_of_what_is_sent(running: Running) -> None:
    with Listener(running.port, "receipts/#") as listener:
        for number in range(2 * MAX_UNSTORED):
            listener.say(f"faces/nobody/{number}", jpeg(8))
        before = metric(running.url, "facefleet_messages_quarantined_total")
        for number in range(MAX_UNSTORED - 1):
            listener.say(f"faces/somebody/{number}", jpeg(8))
        await_true(
            lambda: (
                metric(running.url, "facefleet_messages_quarantined_total")
                >= before + MAX_UNSTORED - 1
            ),
            "all are set aside",
        )
        assert ready(running.url)
        listener.say("faces/others/1", jpeg(8))
        await_true(lambda: not ready(running.url), "it is not ready")
        sentence = json.loads(unmet(running.url))["unmet"]["faces"]
        assert sentence == (
            f"none of the last {3 * MAX_UNSTORED} messages from several devices was stored "
            f"({3 * MAX_UNSTORED} quarantined; latest reason: the topic is not a face's name): "
            "see this log for their topics"
        )
        assert json.loads(unmet(running.url))["service"] == "processor"
        listener.say(topic(10, jpeg(10), "futile"), jpeg(10))
        await_true(lambda: ready(running.url), "a face that is stored ends that")


def test_what_nothing_comes_of() -> None:
    fates = Yield()
    for _ in range(MAX_UNSTORED):
        fates.failed("edge-1", "refused by the bucket", "another object has this name")
    for number in range(2, MAX_UNSTORED + 1):
        fates.failed(f"edge-{number}", "refused by the bucket", "another object has this name")
    assert fates.problem is None
    fates.failed("edge-2", "quarantined", "the payload is not a complete JPEG")
    assert fates.problem == (
        f"none of the last {2 * MAX_UNSTORED} messages from several devices was stored "
        f"(1 quarantined, {2 * MAX_UNSTORED - 1} refused by the bucket; latest reason: the payload "
        "is not a complete JPEG): see this log for their topics"
    )
    fates.stored()
    assert fates.problem is None


def test_one_device_does_not_decide_for_all() -> None:
    fates = Yield()
    for _ in range(10_000):
        fates.failed("edge-1", "quarantined", "the payload is not a complete JPEG")
    assert fates.problem is None
    for number in range(2, 2 + MAX_UNSTORED):
        assert fates.problem is None
        fates.failed(f"edge-{number}", "quarantined", "the payload is not a complete JPEG")
    assert fates.problem is not None
    for number in range(10_000):  # names are cheap where the broker does not check them
        fates.failed(f"other-{number}", "quarantined", "the payload is not a complete JPEG")
    assert len(fates._of) == 1 + MAX_UNSTORED


def test_a_login_page_stores_nothing(rig: Rig) -> None:
    """What answers 200 to all, such as a proxy that wants a password."""

    class Page(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"<html>please log in</html>")

        do_GET = do_HEAD = do_PUT  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    _, port = rig.mosquitto("broker")
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as page:
        Thread(target=page.serve_forever, daemon=True).start()
        _, url = processor(rig, port, f"http://127.0.0.1:{page.server_port}", wait=False)
        await_true(lambda: "address of S3, not" in unmet(url), "it says so")
        await_true(lambda: "broker" not in json.loads(unmet(url))["unmet"], "it listens")
        with Listener(port, "receipts/#") as listener:
            listener.say(topic(1, jpeg(1), "page"), jpeg(1))
            await_true(lambda: metric(url, "facefleet_held_bytes") > OVERHEAD, "it holds the face")
            assert not listener.receipts("edge-1", "page")
        assert metric(url, "facefleet_faces_stored_total") == 0
        page.shutdown()


def test_a_face_that_was_there_before_keeps_its_day(rig: Rig) -> None:
    """The bucket's lifecycle counts from it, however late the receipt is."""
    data, new = jpeg(1), jpeg(2)

    class Bucket(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            there = self.rfile.read(int(self.headers.get("Content-Length", 0))) != new
            self.send_response(412 if there and self.command == "PUT" else 200)
            self.send_header("ETag", f'"{md5(data if there else new)}"')
            self.send_header("Last-Modified", "Sat, 28 Feb 2026 23:59:59 GMT")
            self.send_header("Content-Length", str(len(data) if self.command == "HEAD" else 0))
            self.end_headers()

        do_HEAD = do_PUT  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    _, port = rig.mosquitto("broker")
    with ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as bucket:
        Thread(target=bucket.serve_forever, daemon=True).start()
        processor(rig, port, f"http://127.0.0.1:{bucket.server_port}")
        with Listener(port, "receipts/#") as listener:
            for times in (1, 2):  # the second time, the processor remembers it
                listener.say(topic(1, data, "days"), data)
                listener.say(topic(2, new, "days"), new)
                await_true(
                    lambda times=times: (
                        sorted(listener.stored("edge-1", "days")) == sorted([1, 2] * times)
                    ),
                    "both are confirmed",
                )
            days = {
                (seq, receipt.day)
                for receipt in listener.receipts("edge-1", "days")
                for seq, _ in receipt.stored
            }
        bucket.shutdown()
    (today,) = {day for seq, day in days if seq == 2}
    assert days == {(1, date(2026, 2, 28)), (2, today)}
    assert datetime.now(UTC).date() - today <= timedelta(days=1)


def test_a_malformed_topic_is_set_aside_once(running: Running) -> None:
    wrong = "faces/Édge/../x\u0667.jpg"
    with Listener(running.port, "receipts/#") as listener:
        for _ in range(3):
            listener.say(wrong, jpeg(8))
        after = jpeg(9)
        listener.say(topic(1, after, "after"), after)
        await_true(lambda: listener.stored("edge-1", "after"), "the next face is stored")
        await_true(lambda: set_aside(running, wrong), "it is set aside")
        assert {heard for heard, *_ in listener.heard} <= {"receipts/edge-1/after"}
    assert set_aside(running, wrong) == ["the topic is not a face's name"]
    digest = hashlib.sha256(wrong.encode() + b"\0" + jpeg(8)).hexdigest()[:32]
    assert f"quarantine/unknown/{digest}" in keys(running.endpoint, "quarantine/unknown/")


def test_it_waits_for_a_bucket_without_a_restart(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    _, endpoint = rig.moto()
    s3(endpoint).delete_bucket(Bucket=BUCKET)
    process, url = processor(rig, port, endpoint, wait=False)
    await_true(lambda: f"bucket {BUCKET} does not exist: create it" in unmet(url), "it says so")
    await_true(lambda: "broker" not in json.loads(unmet(url))["unmet"], "it listens")
    with Listener(port, "receipts/#") as listener:
        listener.say(topic(1, jpeg(1), "held"), jpeg(1))
        await_true(lambda: metric(url, "facefleet_held_bytes") > 0, "it holds the face")
        assert not ready(url)
        s3(endpoint).create_bucket(Bucket=BUCKET)
        await_true(lambda: listener.stored("edge-1", "held") == [1], "it stores what it held")
    await_true(lambda: ready(url), "it is ready")
    assert metric(url, "facefleet_held_bytes") == 0
    assert process.running()
    assert "Traceback" not in process.log.read_text()


def test_s3_may_go_and_come_back(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    server, endpoint = rig.sink()
    process, url = processor(rig, port, endpoint)
    with Listener(port, "receipts/#") as listener:
        listener.say(topic(1, jpeg(1), "a"), jpeg(1))
        await_true(lambda: listener.stored("edge-1", "a") == [1], "one is stored")
        server.kill()
        for seq in range(2, 100):
            listener.say(topic(seq, jpeg(seq), "a"), jpeg(seq), qos=0)
        await_true(lambda: "S3 cannot be reached" in unmet(url), "readiness says so")
        assert listener.stored("edge-1", "a") == [1]
        server.start()
        await_true(lambda: len(listener.stored("edge-1", "a")) == 99, "the others follow")
    await_true(lambda: ready(url), "it is ready again")
    assert "Traceback" not in process.log.read_text()


def test_at_the_end_what_is_under_way_is_stored_and_confirmed(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    bucket, endpoint = rig.s3()
    process, _ = processor(rig, port, endpoint)
    bucket.fault(delay=2)
    with Listener(port, "receipts/#") as listener:
        for seq in range(1, 31):
            listener.say(topic(seq, jpeg(seq), "a"), jpeg(seq))
        await_true(lambda: bucket.counters()["puts"] == 30, "the last one is under way")
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0
        await_true(lambda: len(listener.stored("edge-1", "a")) == 30, "receipts came")
    assert "Traceback" not in process.log.read_text()


def test_at_the_end_a_bucket_that_does_not_answer_is_not_waited_for(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    _, endpoint = rig.sink(seconds=60)
    process, url = processor(rig, port, endpoint, wait=False)
    await_true(lambda: "broker" not in json.loads(unmet(url) or "{}").get("unmet", "broker"), "up")
    with Listener(port, "none") as listener:
        listener.say(topic(1, jpeg(1), "a"), jpeg(1))
    await_true(lambda: metric(url, "facefleet_held_bytes") > OVERHEAD, "one is under way")
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "Traceback" not in process.log.read_text()


def test_an_idle_processor_leaves_at_once(rig: Rig) -> None:
    process, _ = processor(rig, free_port(), f"http://127.0.0.1:{free_port()}", wait=False)
    await_true(lambda: "not ready" in process.log.read_text(), "it is up")
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


def test_what_it_holds_is_bounded(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    process, url = processor(rig, port, f"http://127.0.0.1:{free_port()}", wait=False)
    await_true(lambda: "S3 cannot be reached" in unmet(url), "it is up")
    await_true(lambda: "broker" not in json.loads(unmet(url))["unmet"], "it listens")
    data = jpeg(1, 1 << 20)
    with Listener(port, "none") as listener:
        for seq in range(80):
            listener.say(f"faces/{seq}", data)
    await_true(
        lambda: (
            metric(url, "facefleet_held_bytes")
            + (len(data) + OVERHEAD) * metric(url, "facefleet_messages_dropped_total")
            == 80 * (len(data) + OVERHEAD)
        ),
        "each was held or dropped",
    )
    assert 60 << 20 < metric(url, "facefleet_held_bytes") <= 64 << 20
    assert process.running()


def test_a_broker_that_shares_no_subscription_is_told(rig: Rig) -> None:
    """amqtt grants it, and then delivers nothing."""
    _, port = rig.amqtt("broker")
    _, endpoint = rig.sink()
    _, url = processor(rig, port, endpoint, wait=False, share="processors")
    await_true(lambda: "delivers nothing" in unmet(url), "it is told")
    assert "$share/processors/faces/#" in unmet(url)
    assert "unset FACEFLEET_SHARE" in unmet(url)
    _, url = processor(rig, port, endpoint, instance="-alone", wait=False)
    await_true(lambda: ready(url), "one that does not share is ready")


def test_a_processor_that_may_not_read_faces_is_told(rig: Rig) -> None:
    """Mosquitto grants a subscription all the same."""
    rules = rig.folder / "rules"
    rules.write_text("topic write #\ntopic read status/#\n")
    _, port = rig.mosquitto("broker", more=f"acl_file {rules}\n")
    _, endpoint = rig.sink()
    _, url = processor(rig, port, endpoint, wait=False)
    await_true(lambda: "grants faces/# but delivers nothing" in unmet(url), "it is told")


def test_processors_that_share_are_all_ready(rig: Rig) -> None:
    _, port = rig.mosquitto("broker")
    _, endpoint = rig.sink()
    urls = [
        processor(rig, port, endpoint, instance=f"-{n}", wait=False, share="processors")[1]
        for n in range(3)
    ]
    await_true(lambda: all(map(ready, urls)), "each hears an echo, whoever asked for it", 90)
    with Listener(port, "receipts/#") as listener:
        for seq in range(1, 31):
            listener.say(topic(seq, jpeg(seq), "shared"), jpeg(seq))
        await_true(
            lambda: set(listener.stored("edge-1", "shared")) == set(range(1, 31)), "all are stored"
        )
    assert all(metric(url, "facefleet_faces_stored_total") > 0 for url in urls)
