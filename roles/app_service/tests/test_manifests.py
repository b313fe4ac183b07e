"""The manifests of the example inventory: valid, modest, and nothing open that should not be."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

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
        "facefleet_cloud_address": "cloud.example.org",
        "facefleet_nodeport": 30883,  # the default's may be taken, by a demo
        "recorder": str(HERE / "recorder.py"),
        "out": str(folder / "out"),
        "facefleet_aws_environment": {"AWS_SECRET_ACCESS_KEY": "quite secret"},
        "facefleet_pki_password": "quite secret too",
        "__facefleet_pki_folder": str(folder / "pki"),
    }
    for service in ("broker", "processor", "gallery", "forwarder"):
        (folder / "pki" / service).mkdir(parents=True)
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
    harmless = ("ConfigMap", "NetworkPolicy")
    assert {item["metadata"]["name"] for item in theirs if item["kind"] not in harmless} == {
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


def test_a_full_disk_takes_no_pod_that_a_face_passes(manifests):
    """The kubelet evicts no critical pod, and starts one also where the node is short of disk."""
    usual = {
        (host, item["metadata"]["name"])
        for host, items in manifests.items()
        for item in items
        if "template" in item.get("spec", {})
        and item["spec"]["template"]["spec"].get("priorityClassName") != "system-node-critical"
    }
    assert usual == {
        ("cloud-1", "gallery"),
        *((device, "logger") for device in ("jetson-1", "jetson-2", "jetson-3")),
    }
    for pod in [pod for items in manifests.values() for pod in pods_of(items)]:
        tolerated = {toleration["key"] for toleration in pod.get("tolerations", [])}
        taint = {"node.kubernetes.io/disk-pressure"} if "priorityClassName" in pod else set()
        assert tolerated == taint


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
    assert opened == {("cloud-1", "broker"): [{"port": 8883, "nodePort": 30883}]}


def flows(items, name, way):
    """Those of a service's policy: who is at the other end, and the ports."""
    (policy,) = [
        item for item in of_kind(items, "NetworkPolicy") if item["metadata"]["name"] == name
    ]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    ends = {"ingress": "from", "egress": "to"}
    return {
        (end_of(rule.get(ends[way], [{}])[0]), *(port["port"] for port in rule["ports"]))
        for rule in policy["spec"].get(way, [])
    }


def end_of(peer):
    if "ipBlock" in peer:
        return peer["ipBlock"]["cidr"]
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return labels.get("app.kubernetes.io/name") or labels.get("k8s-app") or "anywhere"


def test_every_flow_is_named(manifests):
    found = {
        (host, item["metadata"]["name"]): (
            flows(items, item["metadata"]["name"], "ingress"),
            flows(items, item["metadata"]["name"], "egress"),
        )
        for host, items in manifests.items()
        if host in ("cloud-1", "jetson-2")
        for item in items
        if "template" in item.get("spec", {})
    }
    dns, credentials = ("kube-dns", 53, 53), ("169.254.169.254/32", 80)
    s3 = {dns, ("anywhere", 443), credentials}
    detectors = {("detector-yard", 1883), ("detector-gate", 1883)}
    broker = {("broker", 1883), dns}  # a Service is found by its name
    asked = {*broker, ("forwarder", 8080)}
    assert found == {
        ("cloud-1", "broker"): (
            {("anywhere", 8883), ("processor", 8883), ("gallery", 8883)},
            set(),
        ),
        ("cloud-1", "processor"): (set(), {("broker", 8883), *s3}),
        ("cloud-1", "gallery"): (set(), {("broker", 8883), *s3}),
        ("jetson-2", "broker"): ({("forwarder", 1883), ("logger", 1883), *detectors}, set()),
        ("jetson-2", "forwarder"): (
            {("detector-yard", 8080), ("detector-gate", 8080)},
            {*broker, ("anywhere", 30883)},
        ),
        ("jetson-2", "logger"): (set(), broker),
        ("jetson-2", "detector-yard"): (set(), {*asked, ("192.0.2.50/32", 554)}),
        ("jetson-2", "detector-gate"): (set(), {*asked, ("192.0.2.51/32", 554)}),
    }


def test_a_service_may_resolve_the_names_that_it_is_told_and_none_where_it_is_told_none(manifests):
    for items in manifests.values():
        for item in items:
            if "template" in item.get("spec", {}):
                name = item["metadata"]["name"]
                resolves = ("kube-dns", 53, 53) in flows(items, name, "egress")
                assert resolves == bool(names_told(items, name)), name


def names_told(items, name):
    """The host names among the addresses that a service is told; AWS's is made of the bucket's."""
    told = {}
    for item in items:
        if item["metadata"].get("labels", {}).get("app.kubernetes.io/name") == name:
            if item["kind"] == "ConfigMap":
                told |= item["data"]
            elif item["kind"] == "Secret":
                told |= {key: base64.b64decode(text).decode() for key, text in item["data"].items()}
    hosts = [urlsplit(text).hostname for text in told.values() if re.match(r"\w+://", text)]
    names = [host for host in hosts if not re.fullmatch("[0-9.]+", host)]
    return names + [told[key] for key in ["FACEFLEET_BUCKET"] if key in told]


def test_what_is_not_named_does_not_pass(manifests):
    for items in manifests.values():
        for namespace in of_kind(items, "Namespace"):
            name = namespace["metadata"]["name"]
            policies = of_kind(in_namespace(items, name), "NetworkPolicy")
            assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in [
                policy["spec"] for policy in policies
            ]


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
            claims = [
                volume["persistentVolumeClaim"]
                for volume in item["spec"]["template"]["spec"]["volumes"]
                if "persistentVolumeClaim" in volume
            ]
            assert all(claim["readOnly"] for claim in claims)


def test_a_model_is_read_from_a_volume_of_its_folder(manifests):
    assert "models" in folders(manifests["jetson-3"])
    assert "models" not in folders(manifests["jetson-1"])


def folders(items):
    """The last part of the path of each folder of the host that is read."""
    return [
        item["spec"]["local"]["path"].rpartition("/")[2]
        for item in of_kind(items, "PersistentVolume")
    ]


def test_what_is_on_a_host_stays_there(manifests):
    """A site's other machines have neither its images nor its volumes."""
    for host, items in manifests.items():
        for pod in pods_of(items):
            assert pod["nodeSelector"] == {"kubernetes.io/hostname": host}
        for volume in of_kind(items, "PersistentVolume"):
            (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
            assert term["matchExpressions"] == [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
            ]


def test_a_key_is_seen_by_its_own_service_alone(manifests):
    seen = {
        (host, item["metadata"]["labels"]["app.kubernetes.io/name"]): item["spec"]["local"]["path"]
        for host, items in manifests.items()
        for item in of_kind(items, "PersistentVolume")
        if "/pki/" in item["spec"]["local"]["path"]
    }
    assert {who: path.rpartition("/")[2] for who, path in seen.items()} == {
        ("cloud-1", "broker"): "broker",
        ("cloud-1", "processor"): "processor",
        ("cloud-1", "gallery"): "gallery",
        ("jetson-1", "forwarder"): "forwarder",
        ("jetson-2", "forwarder"): "forwarder",
        ("jetson-3", "forwarder"): "forwarder",
    }


def test_two_pods_of_one_certificate_never_run_at_a_time(manifests):
    """The broker ends the connection of one when the other of its name connects."""
    own = {
        item["metadata"]["name"]: item["spec"]["strategy"]["type"]
        for items in manifests.values()
        for item in of_kind(items, "Deployment")
        if item["metadata"]["name"] in ("processor", "forwarder")
    }
    assert own == {"processor": "Recreate", "forwarder": "Recreate"}


def test_secrets_are_in_secrets(every):
    """A camera's address may hold its password."""
    plain = json.dumps([item for item in every if item["kind"] != "Secret"])
    assert "rtsp://" not in plain
    assert "quite secret" not in plain
    values = [value for item in of_kind(every, "Secret") for value in item["data"].values()]
    decoded = [base64.b64decode(value) for value in values]
    assert b"rtsp://192.0.2.50/stream1" in decoded
    assert b"quite secret" in decoded
    assert b"quite secret too" not in decoded  # the controller's alone


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
