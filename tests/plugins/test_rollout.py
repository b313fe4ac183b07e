"""When the wait for a rollout ends."""

import copy

import pytest

from support.role_variables import plugin

rollout = plugin("module_utils", "rollout")

DEPLOYMENT = {
    "metadata": {"generation": 1},
    "spec": {"replicas": 1},
    "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 0},
}
POD = {
    "metadata": {"name": "forwarder-1", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "status": {"podIP": "192.0.2.1", "containerStatuses": [{"state": {}}]},
}
LATE = {
    "reason": "CreateContainerConfigError",
    "message": "failed to sync configmap cache: timed out waiting for the condition",
}


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Cluster:
    """A Kubernetes in which one pod waits for a reason that `reason(seconds)` returns."""

    def __init__(self, clock, reason, ready_after):
        self._clock, self._reason, self._ready_after = clock, reason, ready_after

    def get(self, kind, *_):
        found = copy.deepcopy(DEPLOYMENT if kind == "Deployment" else POD)
        if kind == "Deployment":
            found["status"]["readyReplicas"] = int(self._clock.now >= self._ready_after)
        elif waiting := self._reason(self._clock.now):
            found["status"]["containerStatuses"][0]["state"]["waiting"] = waiting
        return [found]


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rollout, "time", clock)
    monkeypatch.setattr(rollout, "readiness_problem", lambda address: f"{address} does not answer.")
    return clock


def wait(clock, reason, ready_after=1e9, timeout=300):
    cluster = Cluster(clock, reason, ready_after)
    ready = "http://0.0.0.0:8080/readyz"
    rollout.Rollout(cluster, "Deployment", "forwarder", ready).wait(timeout)


def test_what_a_busy_kubelet_reports_for_a_while_is_waited_for(clock):
    wait(clock, lambda now: LATE if now < 40 else None, ready_after=50)
    assert clock.now == 50


def test_what_does_not_pass_is_given_up(clock):
    with pytest.raises(rollout.ServiceError, match="does not start: CreateContainerConfig"):
        wait(clock, lambda now: LATE)
    assert 45 <= clock.now < 50


def test_a_program_that_ends_is_given_up_immediately(clock):
    with pytest.raises(rollout.ServiceError, match="forwarder does not start: CrashLoopBackOff"):
        wait(clock, lambda now: {"reason": "CrashLoopBackOff"} if now >= 7 else None)
    assert clock.now == 7


def test_the_end_of_the_time_is_reported_with_the_reason(clock):
    with pytest.raises(rollout.ServiceError, match=r"ready after 60 s: http://192\.0\.2\.1:8080"):
        wait(clock, lambda now: None, timeout=60)


def test_a_short_timeout_ends_the_wait_for_a_busy_kubelet(clock):
    with pytest.raises(rollout.ServiceError, match="not ready after 20 s: CreateContainerConfig"):
        wait(clock, lambda now: LATE, timeout=20)
