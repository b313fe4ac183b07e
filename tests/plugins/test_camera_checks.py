"""What a detector would refuse is refused before any change."""

import camera_checks as plugin
import pytest
from facefleet.settings import LONGEST_LOGIN, DetectorSettings


@pytest.mark.parametrize(("key", "limits"), plugin.RANGES.items())
def test_a_range_is_that_of_the_detector(key, limits):
    least, most = limits
    bounds = DetectorSettings.model_fields[key].metadata
    assert [bound.ge for bound in bounds if hasattr(bound, "ge")] == [least]
    assert [bound.le for bound in bounds if hasattr(bound, "le")] == [most]
    cameras = [
        {"name": f"at-{value}", "source": "/dev/video0", key: value}
        for value in (least - 1, least, most, most + 1)
    ]
    plain = {"name": "plain", "source": "/dev/video0", key: None}
    assert plugin.camera_setting_problems([plain, *cameras]) == [
        f"The camera at-{value} has an invalid {key}: set it to a number from {least} to {most}."
        for value in (least - 1, most + 1)
    ]


@pytest.mark.parametrize(
    ("camera", "problem"),
    [
        (
            {"source": "/dev/video0", "user": "hunter"},
            "a user or a password, but its source is not an rtsp or http address: remove them",
        ),
        (
            {"source": "RTSP://a:hunter@192.0.2.7/", "user": "me", "password": "hunter"},
            "a user or a password, and others in its source: remove those from the source",
        ),
        (
            {"source": "rtsp://192.0.2.7/", "password": "hunter"},
            "a password without a user: set user, too",
        ),
        (
            {"source": "rtsp://192.0.2.7/", "user": "me:hunter"},
            "a colon in its user, which neither RTSP nor HTTP allows: remove the colon",
        ),
        (
            {"source": "rtsp://192.0.2.7/", "user": "me", "password": "hunter" + 40 * "@"},
            "a password that is too long: user and password may have 126 characters (each of "
            "@:/# and the like counts three times)",
        ),
    ],
)
def test_a_login_that_its_source_cannot_use_has_a_sentence_without_it(camera, problem):
    assert plugin.camera_setting_problems([{"name": "door", **camera}]) == [
        f"The camera door has {problem}."
    ]


def test_a_login_of_a_stream_is_accepted():
    assert plugin.LONGEST_LOGIN == LONGEST_LOGIN
    for password in (None, "", "x" * 124, "@" * 41):
        camera = {"name": "door", "source": "http://192.0.2.7/a@b", "user": "me"}
        assert plugin.camera_setting_problems([{**camera, "password": password}]) == []
