"""The manifests of the example inventory: valid, modest, and nothing open that should not be."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# What the Pod Security Standard `restricted` lets a pod mount.
HARMLESS = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


@pytest.fixture(scope="module")
def manifests(tmp_path_factory):
    """Host to its objects, in the order in which they are applied."""
    folder = tmp_path_factory.mktemp("render")
    inventory = folder / "inventory"
    model = folder / "models/yunet.onnx"
    model.parent.mkdir()
    model.touch()
    for path in (ROOT / "inventories/example").rglob("*.yml"):
        copied = inventory / path.relative_to(ROOT / "inventories/example")
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text(path.read_text().replace("/opt/facefleet/yunet.onnx", str(model)))
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "app_image_tag": "0123456789ab",
        "recorder": str(HERE / "recorder.py"),
        "out": str(folder / "out"),
        "facefleet_aws_environment": {"AWS_SECRET_ACCESS_KEY": "quite secret"},
    }
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible-playbook", HERE / "render.yml"),
            *("--check", "--inventory", inventory, "--extra-vars", json.dumps(variables)),
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return {
        host.name: [
            item for path in sorted(host.iterdir()) for item in json.loads(path.read_text())
        ]
        for host in (folder / "out").iterdir()
    }


@pytest.fixture(scope="module")
def every(manifests):
    return [item for items in manifests.values() for item in items]


@pytest.fixture(scope="module")
def pods(every):
    return pods_of(every)


def pods_of(items):
    specs = [item.get("spec", {}) for item in items]
    return [spec["template"]["spec"] for spec in specs if "template" in spec]


def of_kind(items, kind):
    return [item for item in items if item["kind"] == kind]


def test_every_service_of_every_host_is_there(manifests):
    workloads = {
        host: [item["metadata"]["name"] for item in items if "template" in item.get("spec", {})]
        for host, items in manifests.items()
    }
    device = ["broker", "forwarder", "logger"]
    plugged_in = [*device, "device-plugin"]  # which has to be there before the detector
    assert workloads == {
        "cloud-1": ["broker", "processor", "gallery"],
        "jetson-1": [*plugged_in, "detector-door"],
        "jetson-2": [*device, "detector-yard", "detector-gate"],
        "jetson-3": [*plugged_in, "detector-hall"],
    }


def test_every_object_is_valid(every):
    for item in every:
        kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


def in_namespace(items, name):
    return [item for item in items if item["metadata"].get("namespace") == name]


def test_each_namespace_enforces_what_its_pods_keep(every):
    enforced = {
        item["metadata"]["name"]: item["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for item in of_kind(every, "Namespace")
    }
    assert enforced == {"facefleet": "restricted", "facefleet-host": "privileged"}
    assert {item["metadata"].get("namespace", "none") for item in every} == {
        *enforced,
        "none",  # the namespaces themselves, and volumes
    }


def test_every_pod_is_restricted(every):
    """As the Pod Security Standard says it, which the namespace enforces."""
    for pod in pods_of(in_namespace(every, "facefleet")):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= HARMLESS


def test_only_the_device_plugin_reaches_into_the_host(every):
    """The one exception: no pod that mounts the folder of the kubelet's sockets is `restricted`.

    So it is in a namespace of its own, which must hold nothing else, and it has of what that
    namespace would allow only the two folders and the user who may write to the first.
    """
    theirs = in_namespace(every, "facefleet-host")
    assert {item["metadata"]["name"] for item in theirs if item["kind"] != "ConfigMap"} == {
        "device-plugin"
    }
    for pod in pods_of(theirs):
        assert pod["securityContext"].keys() == {"runAsUser", "runAsGroup", "seccompProfile"}
        (container,) = pod["containers"]
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        folders = [
            (volume["hostPath"]["path"], mounts[volume["name"]])
            for volume in pod["volumes"]
            if not HARMLESS & set(volume)
        ]
        assert [(path, mount["mountPath"], mount["readOnly"]) for path, mount in folders] == [
            ("/var/lib/kubelet/device-plugins", "/var/lib/kubelet/device-plugins", False),
            ("/dev", "/host/dev", True),
        ]


def test_no_pod_has_a_privilege(pods):
    """Not the device plugin either."""
    for pod in pods:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in context
            assert not any("hostPort" in port for port in container["ports"])


def test_every_pod_is_bounded_and_probed(pods):
    for pod in pods:
        for container in pod["containers"]:
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])
            assert {"livenessProbe", "readinessProbe", "startupProbe"} <= set(container)


def test_no_pod_needs_a_registry(pods):
    for pod in pods:
        for container in pod["containers"]:
            assert container["imagePullPolicy"] == "Never"
            assert container["image"].endswith(":0123456789ab")


def test_only_the_clouds_broker_is_open(manifests):
    opened = {
        (host, item["metadata"]["name"]): item["spec"]["ports"]
        for host, items in manifests.items()
        for item in of_kind(items, "Service")
        if item["spec"]["type"] != "ClusterIP"
    }
    assert opened == {("cloud-1", "broker"): [{"port": 1883, "nodePort": 31883}]}


def test_only_what_opens_a_device_is_given_one(manifests):
    given = {
        (host, item["metadata"]["name"]): limit
        for host, items in manifests.items()
        for item in items
        if "template" in item.get("spec", {})
        for limit in item["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        if limit not in ("cpu", "memory")
    }
    assert given == {
        ("jetson-1", "detector-door"): "facefleet.local/detector-door",
        ("jetson-3", "detector-hall"): "facefleet.local/detector-hall",
    }


def test_the_device_plugin_hands_out_what_is_asked_for(manifests):
    told = {
        host: json.loads(item["data"]["FACEFLEET_RESOURCES"])
        for host, items in manifests.items()
        for item in of_kind(items, "ConfigMap")
        if item["metadata"]["name"].startswith("device-plugin-environment-")
    }
    assert told == {
        "jetson-1": {"detector-door": "/dev/v4l/by-id/usb-example-camera-index0"},
        "jetson-3": {"detector-hall": "/dev/video0"},
    }


def test_only_the_detectors_keep_state(manifests):
    for items in manifests.values():
        for item in of_kind(items, "StatefulSet"):
            assert item["metadata"]["name"].startswith("detector-")
            claim = item["spec"]["volumeClaimTemplates"][0]["spec"]
            assert claim["storageClassName"] == "local-path"
        for item in of_kind(items, "Deployment"):
            volumes = item["spec"]["template"]["spec"]["volumes"]
            assert not any("persistentVolumeClaim" in volume for volume in volumes)


def test_a_model_is_read_from_a_volume_of_its_folder(manifests):
    (volume,) = of_kind(manifests["jetson-3"], "PersistentVolume")
    assert volume["spec"]["local"]["path"].endswith("/models")
    assert not of_kind(manifests["jetson-1"], "PersistentVolume")


def test_secrets_are_in_secrets(every):
    """A camera's address may hold its password."""
    plain = json.dumps([item for item in every if item["kind"] != "Secret"])
    assert "rtsp://" not in plain
    assert "quite secret" not in plain
    values = [value for item in of_kind(every, "Secret") for value in item["data"].values()]
    decoded = [base64.b64decode(value) for value in values]
    assert b"rtsp://192.0.2.50/stream1" in decoded
    assert b"quite secret" in decoded


def test_pods_name_the_configuration_that_is_there(manifests):
    for items in manifests.values():
        named = {
            entry["name"]
            for item in items
            if "template" in item.get("spec", {})
            for source in item["spec"]["template"]["spec"]["containers"][0].get("envFrom", [])
            for entry in source.values()
        } | {
            volume["configMap"]["name"]
            for item in items
            if "template" in item.get("spec", {})
            for volume in item["spec"]["template"]["spec"]["volumes"]
            if "configMap" in volume
        }
        there = {
            item["metadata"]["name"] for item in items if item["kind"] in ("ConfigMap", "Secret")
        }
        assert named == there
