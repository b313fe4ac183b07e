"""The probe through a whole pipeline, and through one that lacks a part."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.rig import AWS, BUCKET, Process, Rig, await_true, free_port, keys, listens, ready, s3
from support.shell import facefleet, told


class Pipeline:
    """One device and one cloud, without a detector."""

    def __init__(self, rig: Rig) -> None:
        self.edge, edge = rig.mosquitto("edge")
        self.cloud, cloud = rig.mosquitto("cloud")
        _, self.endpoint = rig.moto()
        self.processor, at_processor = rig.service(
            "processor",
            broker=f"mqtt://127.0.0.1:{cloud}",
            bucket=BUCKET,
            AWS_ENDPOINT_URL=self.endpoint,
        )
        self.forwarder, at_forwarder = rig.service(
            "forwarder",
            device="edge-1",
            edge_broker=f"mqtt://127.0.0.1:{edge}",
            cloud_broker=f"mqtt://127.0.0.1:{cloud}",
        )
        self.device = {
            "DEVICE": "edge-1",
            "BROKER": f"mqtt://127.0.0.1:{edge}",
            "FORWARDER": at_forwarder.removeprefix("http://"),
        }
        self.urls = [at_processor, at_forwarder]
        self.ports = [edge, cloud]

    def verify(self, timeout: float = 30, **other: object) -> subprocess.CompletedProcess[str]:
        return facefleet(
            "verify",
            "--timeout",
            str(timeout),
            **{
                **AWS,
                "AWS_ENDPOINT_URL": self.endpoint,
                "BUCKET": BUCKET,
                **self.device,
                **other,
            },
        )

    @contextmanager
    def without(self, part: Process) -> Iterator[None]:
        part.kill()
        yield
        part.start()
        await_true(lambda: all(map(listens, self.ports)), "the brokers are back")
        await_true(lambda: all(map(ready, self.urls)), "all are ready again")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with Rig(tmp_path_factory.mktemp("verify")) as rig:
        yield Pipeline(rig)


def test_a_whole_pipeline_passes(pipeline: Pipeline) -> None:
    result = pipeline.verify()
    assert result.returncode == 0, result.stderr
    *hops, last = result.stdout.splitlines()
    assert [line.split(" after ")[0] for line in hops] == [
        "edge-1: passed the device's broker",
        "edge-1: passed forwarder and processor",
    ]
    key = last.removeprefix("edge-1: in the bucket as ")
    assert key in keys(pipeline.endpoint, "faces/edge-1/probe/")


def test_a_device_asks_without_a_right_to_the_bucket(pipeline: Pipeline) -> None:
    result = facefleet("verify", **pipeline.device)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith(
        "edge-1: passed forwarder and processor after "
    )


@pytest.mark.parametrize(
    ("part", "hop"),
    [
        ("edge", "the device's broker"),
        ("forwarder", "the forwarder"),
        ("cloud", "the forwarder"),
        ("processor", "the processor"),
    ],
)
def test_the_hop_that_was_not_passed_is_named(pipeline: Pipeline, part: str, hop: str) -> None:
    with pipeline.without(getattr(pipeline, part)):
        result = pipeline.verify(timeout=1.5)
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith(f"the probe face of edge-1 did not pass {hop}: ")


def test_a_bucket_that_is_another_is_told(pipeline: Pipeline) -> None:
    s3(pipeline.endpoint).create_bucket(Bucket="another")
    result = pipeline.verify(BUCKET="another")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith("the probe face was confirmed but is missing from bucket another")


def test_an_s3_that_is_not_there_is_told(pipeline: Pipeline) -> None:
    result = pipeline.verify(AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
    assert result.returncode == 1
    (sentence,) = told(result)
    assert sentence.startswith(
        f"the probe face was confirmed, but bucket {BUCKET} cannot be reached (Could not connect to"
    )
