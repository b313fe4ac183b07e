"""What a detector would refuse is refused before any change."""

import json

import device_checks as plugin
import pytest
from facefleet import settings
from facefleet.regions import polygons
from facefleet.schedule import Schedule
from facefleet.settings import LONGEST_LOGIN, DetectorSettings, ForwarderSettings
from pydantic import ValidationError


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
        (
            {"source": "rtsp://192.0.2.7/", "user": "me", "password": 42 * ":"},
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
    empty = {"name": "door", "source": "/dev/video0", "user": "", "password": ""}
    assert plugin.camera_setting_problems([empty]) == []
    for password in (None, "", "x" * 124, "@" * 41, ":" * 41):
        camera = {"name": "door", "source": "http://192.0.2.7/a@b", "user": "me"}
        assert plugin.camera_setting_problems([{**camera, "password": password}]) == []


@pytest.mark.parametrize("source", ["/srv/pictures", "rtsp://192.0.2.7/", "sample:hopper"])
def test_what_only_a_device_has_is_refused_elsewhere(source):
    camera = {"name": "door", "source": source, "pixel_format": "MJPG", "resolution": "1280x720"}
    assert plugin.camera_setting_problems([{**camera, "rotation": 90}]) == [
        f"The camera door has a {key}, which only a camera of the machine itself (/dev/...) has: "
        "remove it."
        for key in ("pixel_format", "resolution")
    ]
    assert plugin.camera_setting_problems([{**camera, "source": "/dev/video0"}]) == []


@pytest.mark.parametrize("resolution", ["1280", "1280x", "0x720", "1280x72000", "1280*720", "hd"])
def test_a_resolution_is_width_and_height(resolution):
    camera = {"name": "door", "source": "/dev/video0", "resolution": resolution}
    assert plugin.camera_setting_problems([camera]) == [
        "The camera door has an invalid resolution: set it to width and height in pixels, such as "
        "1280x720."
    ]
    with pytest.raises(ValueError, match="give width and height in pixels, such as 1280x720"):
        settings._resolution(resolution)


@pytest.mark.parametrize(
    "source",
    [
        "gstreamer:appsink",
        "gstreamer:videotestsrc ! fakesink",
        "gstreamer:videotestsrc ! appsink ! fakesink",
        "gstreamer:videotestsrc ! appsinks",
    ],
)
def test_a_pipeline_ends_with_an_appsink(source):
    assert plugin.camera_setting_problems([{"name": "door", "source": source}]) == [
        "The camera door has a GStreamer pipeline that ends with something else: end it with ! "
        "appsink."
    ]
    with pytest.raises(ValueError, match="end the pipeline with ! appsink"):
        settings._source(source)
    good = "gstreamer:videotestsrc ! videoconvert !appsink drop=true"
    assert plugin.camera_setting_problems([{"name": "door", "source": good}]) == []
    assert settings._source(good) == good


def test_a_default_of_all_detectors_is_checked_for_each_camera():
    environment = {"FACEFLEET_RESOLUTION": "1280x720", "FACEFLEET_JPEG_QUALITY": "100"}
    cameras = [
        {"name": "door", "source": "/dev/video0", "jpeg_quality": 90},
        {"name": "yard", "source": "rtsp://192.0.2.7/"},
    ]
    assert plugin.camera_setting_problems(cameras, environment) == [
        "The camera yard has an invalid jpeg_quality: set it to a number from 30 to 95.",
        "The camera yard has a resolution, which only a camera of the machine itself (/dev/...) "
        "has: remove it.",
    ]
    assert plugin.camera_setting_problems(cameras, "no dictionary") == []
    own = {**cameras[0], "environment": {"FACEFLEET_JPEG_QUALITY": "best"}}
    assert plugin.camera_setting_problems([own]) == [
        "The camera door has an invalid jpeg_quality: set it to a number from 30 to 95."
    ]


NO_POINTS = "give it at least three points [x, y], fractions of width and height from 0 to 1"


@pytest.mark.parametrize("key", ["include", "exclude"])
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "an empty {key}: give it a polygon, or remove it"),
        (
            [[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1]]],
            "an invalid polygon 2 in {key}: " + NO_POINTS,
        ),
        ([[[0, 0], [1, 0], [1, 1.01]]], "an invalid polygon 1 in {key}: " + NO_POINTS),
        ([[[0, 0], [1, 0], [-1, 1]]], "an invalid polygon 1 in {key}: " + NO_POINTS),
        ([[[0, 0], [1, 0], [1]]], "an invalid polygon 1 in {key}: " + NO_POINTS),
        ([[[0, 0], [1, 0], ["1", 1]]], "an invalid polygon 1 in {key}: " + NO_POINTS),
        ([[[0, 0], [1, 0], [True, 1]]], "an invalid polygon 1 in {key}: " + NO_POINTS),
        ([["0,0", "1,0", "1,1"]], "an invalid polygon 1 in {key}: " + NO_POINTS),
        ([[[0, 0], [0.5, 0.5], [1, 1]]], "an invalid polygon 1 in {key}: it has no area"),
    ],
)
def test_a_polygon_that_a_detector_would_refuse_has_a_sentence(key, given, problem):
    camera = {"name": "door", "source": "/dev/video0", key: given}
    assert plugin.camera_setting_problems([camera]) == [
        f"The camera door has {problem.format(key=key)}."
    ]
    with pytest.raises(ValueError, match=r"^(give|correct) "):
        polygons(json.dumps(given))


def test_a_polygon_that_a_detector_takes_is_accepted():
    given = [[[0, 0.5], [1, 0.5], [1, 1]], [[0, 0], [0.01, 0], [0.01, 0.01]]]
    camera = {"name": "door", "source": "/dev/video0", "include": given, "exclude": None}
    assert plugin.camera_setting_problems([camera]) == []
    assert polygons(json.dumps(given))


@pytest.mark.parametrize(
    "entry",
    [
        *("", "mon", "07:00-19:00", "mon 7:00-19:00", "mon 07:00-25:00", "monday 07:00-08:00"),
        *("mon-tue-wed 07:00-08:00", "mon 24:00-08:00", "mon 07:00-08:00 Europe/Berlin x"),
        *("mon 07:00-07:00", "mon,  tue 07:00-08:00", "Mon 07:00-08:00"),
    ],
)
def test_hours_that_a_detector_would_refuse_have_a_sentence(entry):
    cameras = [{"name": "door", "source": "/dev/video0", "schedule": ["tue 07:00-08:00", entry]}]
    assert plugin.camera_setting_problems(cameras) == [
        f"The camera door has an invalid schedule: {entry!r} is not days, hours and a time zone, "
        "such as mon-fri 07:00-19:00 Europe/Berlin."
    ]
    with pytest.raises(ValueError, match="correct"):
        Schedule([entry])


def test_hours_that_a_detector_takes_are_accepted():
    hours = ["mon-fri,sun 07:00-19:00 Europe/Berlin", "sat 22:00-06:00", "sun 00:00-24:00 UTC"]
    camera = {"name": "door", "source": "/dev/video0", "schedule": hours}
    assert plugin.camera_setting_problems([camera]) == []
    assert Schedule(hours)
    assert plugin.camera_setting_problems([{**camera, "schedule": []}]) == [
        "The camera door has an empty schedule: give it hours, or remove it."
    ]


FORWARDER = {
    "http": "127.0.0.1:1",
    "device": "edge-1",
    "edge_broker": "mqtt://127.0.0.1:1883",
    "cloud_broker": "mqtt://127.0.0.1:1884",
}
DETECTOR = {
    "http": "127.0.0.1:1",
    "device": "edge-1",
    "camera": "front",
    "source": "sample:hopper",
    "broker": "mqtt://127.0.0.1:1883",
    "outbox": "outbox.sqlite",
}
UNITS = "use bits per second, such as 256kbit or 1.5Mbit."


def is_refused(settings, others, **value):
    """Return whether a service would refuse a value."""
    try:
        settings(**others, **value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize(
    ("rate", "problem"),
    [
        ("256kbit", None),
        ("1.5 Mbit", None),
        ("64kbit", None),
        ("63kbit", "use at least 64kbit."),
        ("0.05Mbit", "use at least 64kbit."),
        ("256", UNITS),
        ("256KB", UNITS),
        ("256kbit/s", UNITS),
        ("-1Mbit", UNITS),
    ],
)
def test_a_rate_is_judged_as_the_forwarder_judges_it(rate, problem):
    sentences = [f"The rate of facefleet_uplink is {rate}: {problem}"] if problem else []
    assert plugin.uplink_problems({"rate": rate}) == sentences
    assert is_refused(ForwarderSettings, FORWARDER, uplink_rate=rate) == bool(problem)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("messages", 100, None),
        ("messages", 0, "are 0: use a whole number of messages a second, such as 100."),
        ("messages", "1.5", "are 1.5: use a whole number of messages a second, such as 100."),
        ("message_size", "128KiB", None),
        ("message_size", "128 KB", None),
        ("message_size", "1MiB", None),
        ("message_size", "15KiB", "is 15KiB: use a size from 16KiB to 1MiB, such as 128KiB."),
        ("message_size", "2MB", "is 2MB: use a size from 16KiB to 1MiB, such as 128KiB."),
        ("message_size", "much", "is much: use a size from 16KiB to 1MiB, such as 128KiB."),
    ],
)
def test_the_limits_of_a_broker_are_judged_as_the_services_judge_them(key, value, problem):
    told = [f"The {key} of facefleet_uplink {problem}"] if problem else []
    assert plugin.uplink_problems({key: value}) == told
    if key == "messages":
        refused = is_refused(ForwarderSettings, FORWARDER, uplink_messages=value)
    else:
        refused = is_refused(DetectorSettings, DETECTOR, max_face_bytes=value)
    assert refused == bool(problem)


@pytest.mark.parametrize("entry", ["mon 7:00-19:00", "22-06", "mon 07:00-07:00", 22])
def test_hours_of_the_uplink_that_a_detector_would_refuse_have_a_sentence(entry):
    uplink = {"window_hours": ["mon-sun 22:00-06:00 Europe/Berlin", entry]}
    assert plugin.uplink_problems(uplink) == [
        f"The window_hours of facefleet_uplink are invalid: {entry!r} is not days, hours and a "
        "time zone, such as mon-fri 07:00-19:00 Europe/Berlin."
    ]


def test_hours_of_the_uplink_are_some():
    assert plugin.uplink_problems({"window_hours": ["mon-sun 22:00-06:00 Europe/Berlin"]}) == []
    assert plugin.uplink_problems({"window_hours": []}) == [
        "The window_hours of facefleet_uplink are empty: give some, or remove window_hours."
    ]


def test_without_a_rate_the_uplink_is_unlimited():
    assert plugin.uplink_problems({}) == []
    assert ForwarderSettings(**FORWARDER).uplink_rate is None
