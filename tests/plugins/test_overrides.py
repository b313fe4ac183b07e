"""What an inventory may give the services, and what it may not."""

import overrides
import pytest
from facefleet import settings

from support.role_variables import ROLES

SETTINGS = overrides.service_settings((ROLES.parent / "app/src/facefleet/settings.py").read_text())
BOUNDS = {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}}
LOGGER = {
    "environment": {"FACEFLEET_BROKER": "mqtt://broker:1883"},
    "kubernetes": {"resources": BOUNDS, "strategy": "Recreate"},
}
DETECTOR = {
    "environment": {"FACEFLEET_CAMERA": "door"},
    "secret_environment": {"FACEFLEET_SOURCE": "/dev/video0"},
    "state_dir": "/var/lib/facefleet",
    "kubernetes": {"resources": BOUNDS, "storage": "2Gi"},
}
KINDS = {
    "gallery": {"gallery": {"environment": {}}},
    "logger": {"logger": LOGGER},
    "detector": {"detector-door": DETECTOR},
}


def given(environment=None, resources=None):
    return {"environment": environment or {}, "resources": resources or {}, "settings": SETTINGS}


def own(**values):
    """The kinds, with overrides of one camera."""
    return {**KINDS, "detector": {"detector-door": {**DETECTOR, "overrides": values}}}


def test_the_settings_of_a_service_are_those_of_its_class():
    known = {"device-plugin": settings.DevicePluginSettings, "detector": settings.DetectorSettings}
    for kind, model in known.items():
        names = {f"FACEFLEET_{name.upper()}" for name in model.model_fields}
        assert set(SETTINGS[kind]) == names


def test_without_overrides_nothing_changes():
    assert overrides.with_overrides(KINDS, given()) == KINDS
    assert overrides.override_problems(KINDS, given()) == []


def test_a_kind_gets_its_environment_and_a_camera_its_own_on_top():
    environment = {"detector": {"FACEFLEET_FPS": 2, "FACEFLEET_WINDOW": 16}}
    kinds = own(environment={"FACEFLEET_FPS": 9})
    assert overrides.override_problems(kinds, given(environment)) == []
    made = overrides.with_overrides(kinds, given(environment))
    assert made["detector"]["detector-door"]["environment"] == {
        "FACEFLEET_CAMERA": "door",
        "FACEFLEET_FPS": 9,
        "FACEFLEET_WINDOW": 16,
    }
    assert made["logger"]["logger"] == LOGGER


def test_resources_are_changed_one_by_one():
    resources = {"detector": {"limits": {"memory": "3Gi"}, "storage": "10Gi"}}
    kinds = own(resources={"requests": {"cpu": "250m"}})
    assert overrides.override_problems(kinds, given(resources=resources)) == []
    made = overrides.with_overrides(kinds, given(resources=resources))
    assert made["detector"]["detector-door"]["kubernetes"] == {
        "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "2", "memory": "3Gi"}},
        "storage": "10Gi",
    }
    assert made["logger"]["logger"] == LOGGER
    assert KINDS["detector"]["detector-door"]["kubernetes"]["storage"] == "2Gi"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"loger": {}}, "facefleet_service_environment: unknown service loger: use one of"),
        ({"logger": "debug"}, "facefleet_service_environment of logger is debug"),
        ({"logger": {"FACEFLEET_LOGLEVEL": "debug"}}, "unknown setting FACEFLEET_LOGLEVEL"),
        ({"logger": {"FACEFLEET_PUTS": 3}}, "unknown setting FACEFLEET_PUTS"),
        ({"logger": {"FACEFLEET_BROKER": "mqtt://x:1"}}, "FACEFLEET_BROKER is derived from other"),
        ({"logger": {"FACEFLEET_HTTP": "0.0.0.0:1"}}, "FACEFLEET_HTTP is derived from other"),
        ({"detector": {"FACEFLEET_SOURCE": "x"}}, "FACEFLEET_SOURCE is derived from other"),
        ({"gallery": {"FACEFLEET_PASSWORD": "x"}}, "FACEFLEET_PASSWORD is derived from other"),
        ({"logger": {"AWS_ENDPOINT_URL_S3": "x"}}, "set AWS_ENDPOINT_URL_S3 in facefleet_aws_envi"),
        ({"logger": {"A=B": "x"}}, "A=B is not a valid name for an environment variable"),
        ({"logger": {"TZ": ["x"]}}, "TZ must be text or a number"),
    ],
)
def test_an_environment_that_a_service_cannot_have_has_a_sentence(environment, sentence):
    (said,) = overrides.override_problems(KINDS, given(environment))
    assert sentence in said
    overrides.with_overrides(KINDS, given(environment))


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"loger": {}}, "facefleet_service_resources: unknown service loger: use one of"),
        ({"logger": {"limit": {"cpu": 1}}}, "limit is not valid: use requests and limits"),
        ({"logger": {"limits": "1Gi"}}, "limits is not valid: use requests and limits"),
        ({"logger": {"limits": {"gpu": 1}}}, "unknown gpu in limits: use cpu and memory"),
        ({"logger": {"limits": {"memory": "much"}}}, "memory is much: use a quantity"),
        ({"logger": {"storage": "1Gi"}}, "storage is not valid: use requests and limits"),
        ({"detector": {"storage": "big"}}, "storage is big: use a quantity"),
    ],
)
def test_resources_that_a_service_cannot_have_have_a_sentence(resources, sentence):
    (said,) = overrides.override_problems(KINDS, given(resources=resources))
    assert sentence in said
    overrides.with_overrides(KINDS, given(resources=resources))


def test_a_host_without_cameras_takes_what_is_for_detectors():
    detector = {"detector": {"storage": "10Gi"}}
    kinds = {**KINDS, "detector": {}}
    assert overrides.override_problems(kinds, given(resources=detector)) == []
    assert overrides.with_overrides(kinds, given(resources=detector))["detector"] == {}


def test_what_a_camera_cannot_have_names_its_detector():
    kinds = own(environment={"FACEFLEET_PUTS": 1}, resources={"limits": {"cpu": "fast"}})
    environment, resources = overrides.override_problems(kinds, given())
    assert environment.startswith("environment of detector-door: unknown setting FACEFLEET_PUT")
    assert resources.startswith("resources of detector-door: cpu is fast")
