"""The manifests of the golden files: valid, restricted, and closed but for their named flows.

What the roles render equals golden/ (test_plans.py).
"""

import base64
import functools
import ipaddress
import json
import re
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

GOLDEN = Path(__file__).parent / "golden"
# What the Pod Security Standard `restricted` lets a pod mount.
HARMLESS = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


def fleet(name):
    """Host to its objects, in the order in which they are applied."""
    plans = json.loads((GOLDEN / f"{name}.json").read_text())
    return {
        host: [
            *plan["namespaces"],
            *(item for service in plan["services"] for item in plan["rendered"][service["name"]]),
        ]
        for host, plan in plans.items()
    }


@pytest.fixture(scope="module")
def manifests():
    """Those of the example inventory."""
    return fleet("example")


@pytest.fixture(scope="module", params=["example", "pods"])
def either(request):
    """Those of the example inventory, and of a fleet with cameras of every kind."""
    return fleet(request.param)


@pytest.fixture(scope="module")
def every(either):
    return [item for items in either.values() for item in items]


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


def test_every_object_is_valid(every, monkeypatch):
    # It would read the schemas once an object.
    read = functools.cache(kubernetes_validate.utils.schema_contents)
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", read)
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
    assert opened == {("cloud-1", "broker"): [{"port": 8883, "nodePort": 31883}]}


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
            {*broker, ("anywhere", 31883)},
        ),
        ("jetson-2", "logger"): (set(), broker),
        ("jetson-2", "detector-yard"): (set(), {*asked, ("192.0.2.50/32", 554)}),
        ("jetson-2", "detector-gate"): (set(), {*asked, ("192.0.2.51/32", 554)}),
    }


def test_a_service_may_resolve_the_names_that_it_is_told_and_none_where_it_is_told_none(either):
    for items in either.values():
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
    # A VM that is not made yet has no address.
    names = [host for host in hosts if host and not is_address(host)]
    keys = [] if "AWS_ENDPOINT_URL" in told else ["FACEFLEET_BUCKET"]
    return names + [told[key] for key in keys if key in told]


def is_address(host):
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def test_what_is_not_named_does_not_pass(either):
    for items in either.values():
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


def test_only_the_detectors_keep_state(either):
    for items in either.values():
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
    assert "/opt/facefleet" in chain(*map(folders, fleet("pods").values()))
    assert "/opt/facefleet" not in chain(*map(folders, manifests.values()))


def folders(items):
    """The folders of the host that are read."""
    return [item["spec"]["local"]["path"] for item in of_kind(items, "PersistentVolume")]


def test_what_is_on_a_host_stays_there(either):
    """A site's other machines have neither its images nor its volumes."""
    for host, items in either.items():
        node = host.replace("_", "-")  # a node's name has no underscore
        for pod in pods_of(items):
            assert pod["nodeSelector"] == {"kubernetes.io/hostname": node}
        for volume in of_kind(items, "PersistentVolume"):
            (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
            assert term["matchExpressions"] == [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
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


def test_two_pods_of_one_certificate_never_run_at_a_time(either):
    """The broker ends the connection of one when the other of its name connects."""
    own = {
        item["metadata"]["name"]: item["spec"]["strategy"]["type"]
        for items in either.values()
        for item in of_kind(items, "Deployment")
        if item["metadata"]["name"] in ("processor", "forwarder")
    }
    assert own == {"processor": "Recreate", "forwarder": "Recreate"}


def test_secrets_are_in_secrets():
    """A camera's address may hold its password."""
    every = [item for items in fleet("pods").values() for item in items]
    plain = json.dumps([item for item in every if item["kind"] != "Secret"])
    values = [value for item in of_kind(every, "Secret") for value in item["data"].values()]
    decoded = {base64.b64decode(value).decode() for value in values}
    secrets = {"rtsp://user:pass@192.0.2.50/stream1", "a-key", "open sesame"}
    assert secrets <= decoded
    assert not [secret for secret in (*secrets, "rtsp://", "quite secret") if secret in plain]
    assert "quite secret" not in decoded  # the authority's password is the controller's alone


def test_pods_name_the_configuration_that_is_there(either):
    for items in either.values():
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
