"""Rollouts in Kubernetes: wait for their end, and diagnose those that fail."""

import contextlib
import math
import time
import urllib.parse

from ansible_collections.facefleet.facefleet.plugins.module_utils.cluster import ServiceError
from ansible_collections.facefleet.facefleet.plugins.module_utils.host import readiness_problem

# Seconds after which waiting is in vain. A busy kubelet passes through some of these: it reports
# CreateContainerConfigError if a ConfigMap has not arrived yet, and tries again.
GIVEN_UP_AFTER = {
    "CrashLoopBackOff": 0,
    "CreateContainerConfigError": 45,
    "CreateContainerError": 45,
    "ErrImageNeverPull": 0,
    "InvalidImageName": 0,
    "RunContainerError": 45,
}


class Rollout:
    """The rollout of one Deployment or StatefulSet."""

    def __init__(self, cluster, kind, name, ready):
        self._cluster = cluster
        self._kind = kind
        self._name = name
        self._ready = urllib.parse.urlsplit(ready)

    def wait(self, timeout):
        """Wait for the end. Raises ServiceError if it does not come in time, or cannot come."""
        began = time.monotonic()
        obstacle, since = None, began
        while True:
            workload = self._cluster.get(self._kind, self._name)[0]
            if ended(workload):
                return
            pod = self._replaced(workload)
            state = _waiting(pod)
            now = time.monotonic()
            current = pod and (pod["metadata"]["uid"], state.get("reason"))
            if current != obstacle:
                obstacle, since = current, now
            if now - since >= GIVEN_UP_AFTER.get(state.get("reason"), math.inf):
                raise ServiceError(f"{self._name} does not start: {_sentence(state)}.")
            if now - began > timeout:
                problem = self._problem(pod)
                raise ServiceError(f"{self._name} is not ready after {timeout} s: {problem}.")
            time.sleep(1)

    def _replaced(self, workload):
        """Return the newest pod of the desired revision, or None.

        A StatefulSet never replaces a pod that has not become ready, so that pod is deleted here.
        """
        pods = self._cluster.get("pod", f"--selector=app.kubernetes.io/name={self._name}")
        pods = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        if not pods or not _seen(workload):
            return None
        pod = max(pods, key=_age)
        if self._kind == "StatefulSet":
            wanted = workload["status"].get("updateRevision")
            if pod["metadata"]["labels"].get("controller-revision-hash") != wanted:
                if not _is(pod, "Ready"):
                    self._cluster.run("delete", "pod", pod["metadata"]["name"], "--wait=false")
                return None
        return pod

    def _problem(self, pod):
        """Return what keeps a pod from being ready."""
        if pod is None:
            return "it has no pod of the new version"
        state = _waiting(pod)
        if state:
            return _sentence(state)
        for condition in pod["status"].get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] != "True":
                return condition.get("message", "no node can run it").rstrip(".")
        address = f"{pod['status'].get('podIP')}:{self._ready.port}{self._ready.path}"
        problem = readiness_problem(f"{self._ready.scheme}://{address}")
        return (problem or "it has only just become ready").rstrip(".")

    def diagnostics(self):
        """Return the last events and log lines of the newest pod."""
        pods = self._cluster.get("pod", f"--selector=app.kubernetes.io/name={self._name}")
        pod = max(pods, key=_age, default=None)
        lines = ["Last events:", *(f"  {line}" for line in self._events(pod))]
        if pod is not None:
            name = pod["metadata"]["name"]
            lines += [f"Last log lines of {name}:", *(f"  {line}" for line in self._log(name))]
        return "\n".join(lines)

    def _events(self, pod, count=8):
        """Return the last events of the workload, its objects, and this pod (names are reused)."""
        found = []
        for event in sorted(self._cluster.get("events"), key=_age):
            about = event["involvedObject"]
            if pod and about["kind"] == "Pod" and about.get("uid") != pod["metadata"]["uid"]:
                continue
            if f"{about['name']}-".startswith(f"{self._name}-"):
                found.append(f"{event['reason']}: {event['message'].strip()}")
        return found[-count:]

    def _log(self, pod, lines=20):
        for former in ([], ["--previous"]):
            with contextlib.suppress(ServiceError):  # it may not have started yet
                text = self._cluster.run("logs", pod, f"--tail={lines}", *former)
                if text.strip():
                    return text.splitlines()
        return ["(empty)"]


def _age(item):
    """Return when an object was created, or an event last seen, as a sort key."""
    return item.get("lastTimestamp") or item["metadata"]["creationTimestamp"]


def _seen(workload):
    """Return whether the controller has seen the workload's last change."""
    status = workload.get("status", {})
    return status.get("observedGeneration", 0) >= workload["metadata"]["generation"]


def ended(workload):
    """Return whether all pods are new and ready."""
    status = workload.get("status", {})
    wanted = workload["spec"]["replicas"]
    pods = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    revisions = {status.get("currentRevision"), status.get("updateRevision")}  # of a StatefulSet
    return _seen(workload) and set(pods) == {wanted} and len(revisions) == 1


def _is(pod, condition):
    conditions = pod["status"].get("conditions", [])
    return any(entry["type"] == condition and entry["status"] == "True" for entry in conditions)


def _waiting(pod):
    """Return why a pod's container does not run; empty if it runs, or does not exist."""
    containers = ((pod or {}).get("status") or {}).get("containerStatuses") or [{}]
    return (containers[0].get("state") or {}).get("waiting") or {}


def _sentence(state):
    return ": ".join(state[name] for name in ("reason", "message") if name in state).rstrip(".")
