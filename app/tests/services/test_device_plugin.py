"""The device plugin as a process, and a kubelet's side of it: real sockets, real devices.

The devices are pseudo terminals and /dev/null, by links of a folder below /dev that anyone may
write to; a link that goes is a camera that is unplugged.
"""

import json
import os
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from facefleet.services.device_plugin import api, devices

from support.rig import Process, Rig, await_true, free_port, ready, unmet
from support.shell import facefleet, told

DEV = Path("/dev")
RESOURCE = "facefleet.local/detector-door"


class Kubelet:
    """What a kubelet does with the sockets of its folder, whose path must be short."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[api.RegisterRequest] = []
        self.health: dict[str, str] = {}  # by resource, of those that are watched
        self._server: grpc.Server | None = None
        self._channels: list[grpc.Channel] = []

    def start(self) -> None:
        """As at its start: it removes every socket of the folder, then listens."""
        for path in self.folder.iterdir():
            path.unlink()
        register = grpc.unary_unary_rpc_method_handler(
            self._register, api.RegisterRequest.deserialize, api.Empty.serialize
        )
        methods = grpc.method_handlers_generic_handler(api.REGISTRATION, {"Register": register})
        self._server = grpc.server(ThreadPoolExecutor(2), handlers=(methods,))
        self._server.add_insecure_port(f"unix:{self.folder}/kubelet.sock")
        self._server.start()

    def stop(self) -> None:
        """As when it is killed: its connections end."""
        if self._server is not None:
            self._server.stop(None).wait()
        for channel in self._channels:
            channel.close()
        self._channels.clear()

    def _register(self, request: api.RegisterRequest, _context: grpc.ServicerContext) -> api.Empty:
        self.requests.append(request)
        threading.Thread(target=self._watch, args=[request], daemon=True).start()
        return api.Empty()

    def _watch(self, request: api.RegisterRequest) -> None:
        name = request.resource_name
        watch = self._channel(request.endpoint).unary_stream(
            f"/{api.DEVICE_PLUGIN}/ListAndWatch",
            request_serializer=api.Empty.serialize,
            response_deserializer=api.ListAndWatchResponse.deserialize,
        )
        try:
            for answer in watch(api.Empty()):
                (device,) = answer.devices
                self.health[name] = device.health
        except (grpc.RpcError, ValueError):  # the other end, or this one, has closed it
            pass
        finally:
            self.health.pop(name, None)

    def _channel(self, endpoint: str) -> grpc.Channel:
        channel = grpc.insecure_channel(f"unix:{self.folder}/{endpoint}")
        self._channels.append(channel)
        return channel

    def allocate(self, endpoint: str = "facefleet-detector-door.sock") -> list[list[tuple]]:
        """The devices that a container is given, of each container."""
        ask = self._channel(endpoint).unary_unary(
            f"/{api.DEVICE_PLUGIN}/Allocate",
            request_serializer=api.AllocateRequest.serialize,
            response_deserializer=api.AllocateResponse.deserialize,
        )
        request = api.AllocateRequest(container_requests=[{"device_ids": ["detector-door"]}])
        return [
            [(one.container_path, one.host_path, one.permissions) for one in container.devices]
            for container in ask(request, timeout=5).container_responses
        ]


@pytest.fixture
def kubelet() -> Iterator[Kubelet]:
    with tempfile.TemporaryDirectory(prefix="kubelet-") as folder:
        kubelet = Kubelet(Path(folder))
        yield kubelet
        kubelet.stop()


@pytest.fixture
def plugged() -> Iterator[Path]:
    """A folder below /dev, for links to devices."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="facefleet-") as folder:
        yield Path(folder)


def plugin(rig: Rig, kubelet: Kubelet, *, wait: bool = True, **paths: Path) -> tuple[Process, str]:
    mapping = {name.replace("_", "-"): str(path) for name, path in paths.items()}
    return rig.service(
        "device-plugin", wait=wait, resources=json.dumps(mapping), kubelet=kubelet.folder
    )


def await_known(kubelet: Kubelet, url: str, *resources: str) -> None:
    known = dict.fromkeys(resources or [RESOURCE], "Healthy")
    await_true(lambda: ready(url) and kubelet.health == known, "the kubelet knows that it is there")


def test_the_kubelet_knows_each_device_and_hands_out_that_one(
    rig: Rig, kubelet: Kubelet, plugged: Path
) -> None:
    (plugged / "door").symlink_to("../../null")
    (plugged / "gate").symlink_to("/dev/zero")
    kubelet.start()
    process, url = plugin(
        rig, kubelet, detector_door=plugged / "door", detector_gate=plugged / "gate"
    )
    await_known(kubelet, url, RESOURCE, "facefleet.local/detector-gate")
    door = next(one for one in kubelet.requests if one.resource_name == RESOURCE)
    assert (door.version, door.endpoint) == ("v1beta1", "facefleet-detector-door.sock")
    path = str(plugged / "door")
    assert kubelet.allocate() == [[(path, path, "rw")]]
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        metrics = answer.read().decode()
    assert 'facefleet_device_allocations_total{resource="detector-door"} 1.0' in metrics
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()
    await_true(lambda: not kubelet.health, "the kubelet sees that it has ended")


def test_a_kubelet_that_starts_again_is_told_again(rig: Rig, kubelet: Kubelet) -> None:
    kubelet.start()
    process, url = plugin(rig, kubelet, detector_door=DEV / "null")
    for times in (2, 3):
        kubelet.stop()
        await_true(
            lambda: "check that k3s is running" in unmet(url), "readiness says that it is gone"
        )
        kubelet.start()
        await_known(kubelet, url)
        assert len(kubelet.requests) == times
        assert kubelet.allocate() == [[("/dev/null", "/dev/null", "rw")]]
    assert process.stop() == 0


def test_it_waits_for_a_kubelet_that_is_not_there_yet(rig: Rig, kubelet: Kubelet) -> None:
    process, url = plugin(rig, kubelet, wait=False, detector_door=DEV / "null")
    await_true(lambda: "check that k3s is running" in unmet(url), "readiness says so")
    kubelet.start()
    await_known(kubelet, url)
    assert process.stop() == 0


def test_one_that_was_killed_is_known_again(rig: Rig, kubelet: Kubelet) -> None:
    kubelet.start()
    process, url = plugin(rig, kubelet, detector_door=DEV / "null")
    process.kill()
    await_true(lambda: not kubelet.health, "the kubelet sees that it has ended")
    process.start()
    await_known(kubelet, url)
    assert kubelet.allocate() == [[("/dev/null", "/dev/null", "rw")]]


def test_a_camera_is_unplugged_and_comes_back_as_another_node(
    rig: Rig, kubelet: Kubelet, plugged: Path
) -> None:
    camera = plugged / "by-id"
    kubelet.start()
    _, url = plugin(rig, kubelet, wait=False, detector_door=camera)
    await_true(lambda: kubelet.health == {RESOURCE: "Unhealthy"}, "it is not there yet")
    sentence = f"{camera} does not exist: plug it in, or correct the camera's source"
    await_true(lambda: sentence in unmet(url), "readiness says so")

    controller, terminal = os.openpty()
    camera.symlink_to(os.path.relpath(os.ttyname(terminal), plugged))
    await_known(kubelet, url)

    os.close(terminal)
    os.close(controller)  # the node goes first, and udev removes the link later
    await_true(lambda: kubelet.health == {RESOURCE: "Unhealthy"}, "it is unplugged")
    await_true(
        lambda: "does not exist (it is a link to /dev/pts/" in unmet(url), "readiness says so"
    )
    with pytest.raises(grpc.RpcError, match="plug it in"):
        kubelet.allocate()

    camera.unlink()
    camera.symlink_to("../../null")
    await_known(kubelet, url)
    assert kubelet.allocate() == [[(str(camera), str(camera), "rw")]]
    assert len(kubelet.requests) == 1


@pytest.mark.parametrize("folder", ["no/such", "a" * 100])
def test_a_folder_that_cannot_have_a_socket(rig: Rig, kubelet: Kubelet, folder: str) -> None:
    (kubelet.folder / ("a" * 100)).mkdir()
    kubelet.folder /= folder
    process, url = plugin(rig, kubelet, wait=False, detector_door=DEV / "null")
    await_true(lambda: "cannot listen on" in unmet(url), "readiness says so")
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


def test_what_is_no_device(plugged: Path) -> None:
    (plugged / "file").touch()
    (plugged / "away").symlink_to("/etc/passwd")
    (plugged / "up").symlink_to("../../../etc/passwd")
    (plugged / "round").symlink_to("round")
    assert devices.problem(DEV / "null", DEV) is None
    for name, sentence in {
        "file": "is not a character device: correct the camera's source",
        "away": "leads to /etc/passwd, which is not a device: correct the camera's source",
        "up": "leads to /etc/passwd, which is not a device: correct the camera's source",
        "round": "is a chain of too many links: correct the camera's source",
        "none": "does not exist: plug it in, or correct the camera's source",
        "file/none": "does not exist: plug it in, or correct the camera's source",
    }.items():
        assert devices.problem(plugged / name, DEV) == f"{plugged / name} {sentence}"


def test_the_hosts_devices_are_looked_for_where_they_are_to_be_seen(plugged: Path) -> None:
    """In its pod, links of the host's /dev mean the host's, absolute ones too."""
    seen = Path("/proc/self/root/dev")
    (plugged / "link").symlink_to(plugged / "other")
    (plugged / "other").symlink_to("../../null")
    assert devices.problem(plugged / "link", seen) is None
    assert "does not exist" in devices.problem(plugged / "link", plugged)


DOOR = '{"detector-door": "/dev/video0"}'


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ("", "FACEFLEET_RESOURCES is empty: give it a value, or remove it"),
        ("{}", f"FACEFLEET_RESOURCES={{}}: give JSON such as {DOOR}"),
        ("/dev/video0", f"FACEFLEET_RESOURCES=/dev/video0: give JSON such as {DOOR}"),
        ('["/dev/video0"]', f'FACEFLEET_RESOURCES=["/dev/video0"]: give JSON such as {DOOR}'),
        (
            '{"Door": "/dev/video0"}',
            "FACEFLEET_RESOURCES=Door: use a-z, 0-9 and inner hyphens, at most 63 characters",
        ),
        (
            '{"door": "/etc/passwd"}',
            "FACEFLEET_RESOURCES=/etc/passwd: give a path below /dev, such as /dev/video0",
        ),
        (
            '{"door": "/dev/../etc/passwd"}',
            "FACEFLEET_RESOURCES=/dev/../etc/passwd: give a path below /dev, such as /dev/video0",
        ),
        (
            '{"door": 1}',
            "FACEFLEET_RESOURCES=1: Input is not a valid path for <class 'pathlib.Path'>",
        ),
    ],
)
def test_a_bad_mapping_gets_one_sentence(mapping: str, sentence: str) -> None:
    result = facefleet("device-plugin", HTTP=f"127.0.0.1:{free_port()}", RESOURCES=mapping)
    assert result.returncode == 2
    assert told(result) == [sentence]


def test_messages_are_numbered_as_the_kubelets() -> None:
    """By hand from its api.proto: who shares a wrong number with himself does not notice."""
    request = api.RegisterRequest(version="v", endpoint="e", resource_name="r")
    assert api.RegisterRequest.serialize(request) == b"\x0a\x01v\x12\x01e\x1a\x01r"
    listed = api.ListAndWatchResponse(devices=[{"id": "i", "health": "h"}])
    assert api.ListAndWatchResponse.serialize(listed) == b"\x0a\x06\x0a\x01i\x12\x01h"
    spec = {"container_path": "c", "host_path": "h", "permissions": "rw"}
    answer = api.AllocateResponse(container_responses=[{"devices": [spec]}])
    assert (
        api.AllocateResponse.serialize(answer)
        == b"\x0a\x0c\x1a\x0a" + b"\x0a\x01c\x12\x01h\x1a\x02rw"
    )
    asked = api.AllocateRequest.deserialize(b"\x0a\x03\x0a\x01i")
    assert list(asked.container_requests[0].device_ids) == ["i"]
