"""Each bad setting gets one sentence, and no password is in it."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from facefleet.errors import SettingsError
from facefleet.schedule import EXAMPLE
from facefleet.settings import (
    DetectorSettings,
    DevicePluginSettings,
    DevicesSettings,
    ForwarderSettings,
    GallerySettings,
    LoggerSettings,
    ProcessorSettings,
    ServiceSettings,
    Settings,
    StatusSettings,
    VerifySettings,
    load,
)
from pydantic import TypeAdapter

PAGE = Path(__file__).parents[2] / "docs/settings.md"
BROKER = "mqtt://127.0.0.1:1883"
GOOD = {
    DetectorSettings: {
        "HTTP": "127.0.0.1:8081",
        "DEVICE": "edge-1",
        "CAMERA": "front",
        "SOURCE": "sample:astronaut",
        "BROKER": BROKER,
        "OUTBOX": "outbox.sqlite",
    },
    LoggerSettings: {"HTTP": "127.0.0.1:8081", "DEVICE": "edge-1", "BROKER": BROKER},
    ForwarderSettings: {
        "HTTP": "127.0.0.1:8081",
        "DEVICE": "edge-1",
        "EDGE_BROKER": BROKER,
        "CLOUD_BROKER": BROKER,
    },
    ProcessorSettings: {"HTTP": "127.0.0.1:8081", "BROKER": BROKER, "BUCKET": "faces"},
    GallerySettings: {"HTTP": "127.0.0.1:8081", "BUCKET": "faces"},
    DevicePluginSettings: {
        "HTTP": "127.0.0.1:8081",
        "RESOURCES": '{"detector-door": "/dev/video0"}',
    },
    StatusSettings: {"BROKER": BROKER},
    DevicesSettings: {"PROCESSOR": "127.0.0.1:8081"},
    VerifySettings: {"DEVICE": "edge-1", "BROKER": BROKER, "FORWARDER": "127.0.0.1:8081"},
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("FACEFLEET_"):
            monkeypatch.delenv(name)


def use(monkeypatch: pytest.MonkeyPatch, settings: type, **more: str) -> None:
    for name, value in {**GOOD[settings], **more}.items():
        monkeypatch.setenv(f"FACEFLEET_{name}", value)


def sentences(settings: type) -> list[str]:
    with pytest.raises(SettingsError) as problem:
        load(settings)
    return str(problem.value).split("\n")


@pytest.mark.parametrize("settings", GOOD, ids=lambda settings: settings.__name__)
def test_the_least_that_is_needed_is_enough(
    monkeypatch: pytest.MonkeyPatch, settings: type
) -> None:
    use(monkeypatch, settings)
    assert load(settings)


@pytest.mark.parametrize(
    ("settings", "name"), [(settings, name) for settings, names in GOOD.items() for name in names]
)
def test_each_missing_one_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: type, name: str
) -> None:
    use(monkeypatch, settings)
    monkeypatch.delenv(f"FACEFLEET_{name}")
    assert sentences(settings) == [f"FACEFLEET_{name} is not set: set it"]


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFLEET_DEVICE", "Edge 1")
    monkeypatch.setenv("FACEFLEET_DEVIZE", "edge-1")
    unknown, *others = sentences(LoggerSettings)
    assert unknown.startswith("FACEFLEET_DEVIZE is not a setting of this command: remove it")
    assert "FACEFLEET_DEVICE" in unknown
    assert others == [
        "FACEFLEET_HTTP is not set: set it",
        "FACEFLEET_DEVICE=Edge 1: use a-z, 0-9 and inner hyphens, at most 63 characters",
        "FACEFLEET_BROKER is not set: set it",
    ]


def test_a_setting_of_another_command_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, LoggerSettings, BUCKET="faces")
    assert [sentence.split(":")[0] for sentence in sentences(LoggerSettings)] == [
        "FACEFLEET_BUCKET is not a setting of this command"
    ]


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (DetectorSettings, "HTTP", "8081"),
        (DetectorSettings, "HTTP", ":8081"),
        (DetectorSettings, "HTTP", "127.0.0.1:0"),
        (DetectorSettings, "HTTP", "::1:8081"),
        (DetectorSettings, "HTTP", "[::1]"),
        (DetectorSettings, "HTTP", "[edge]:8081"),
        (DetectorSettings, "HTTP", "127.0.0.1:65536"),
        (DetectorSettings, "HTTP", "127.0.0.1:\u0668\u0668"),
        (DetectorSettings, "HTTP", "http://127.0.0.1:8081"),
        (DetectorSettings, "HTTP", ""),
        (DetectorSettings, "LOG_LEVEL", "loud"),
        (DetectorSettings, "DEVICE", "../up"),
        (DetectorSettings, "CAMERA", "a" * 64),
        (DetectorSettings, "SOURCE", ""),
        (DetectorSettings, "FPS", "0"),
        (DetectorSettings, "FPS", "121"),
        (DetectorSettings, "FPS", "nan"),
        (DetectorSettings, "FPS", "inf"),
        (DetectorSettings, "FPS", "fast"),
        (DetectorSettings, "FPS", ""),
        (DetectorSettings, "PIXEL_FORMAT", "RGB3"),
        (DetectorSettings, "PIXEL_FORMAT", "MJPG"),  # as the source is a sample
        (DetectorSettings, "RESOLUTION", "1280x720"),
        (DetectorSettings, "RESOLUTION", "1280"),
        (DetectorSettings, "ROTATION", "45"),
        (DetectorSettings, "ROTATION", "360"),
        (DetectorSettings, "MIN_FACE", "15"),
        (DetectorSettings, "SEARCH", "some"),
        (DetectorSettings, "SCHEDULE", "mon 07:00-19:00"),
        (DetectorSettings, "SCHEDULE", '["mon 07:00-07:00"]'),
        (DetectorSettings, "INCLUDE", "[[[0, 0], [1, 0]]]"),
        (DetectorSettings, "EXCLUDE", "[[[0, 0], [1, 0], [1, 2]]]"),
        (DetectorSettings, "FACES_ONLY", "perhaps"),
        (DetectorSettings, "COLOR", "sepia"),
        (DetectorSettings, "MAX_FACE_SIZE", "63"),
        (DetectorSettings, "MAX_FACE_SIZE", "801"),
        (DetectorSettings, "JPEG_QUALITY", "29"),
        (DetectorSettings, "JPEG_QUALITY", "96"),
        (DetectorSettings, "QOS", "3"),
        (DetectorSettings, "QOS", "-1"),
        (DetectorSettings, "WINDOW", "0"),
        (DetectorSettings, "WINDOW", "65536"),
        (DetectorSettings, "WINDOW", "1.5"),
        (DetectorSettings, "OUTBOX", ""),
        (DetectorSettings, "OUTBOX_MAX_BYTES", "1000"),
        (DetectorSettings, "OUTBOX_MAX_BYTES", "much"),
        (DetectorSettings, "BROKER", "127.0.0.1:1883"),
        (DetectorSettings, "BROKER", "mqtt://"),
        (DetectorSettings, "BROKER", "mqtt://h:0"),
        (DetectorSettings, "BROKER", "mqtt://h:65536"),
        (DetectorSettings, "BROKER", "mqtt://h/path"),
        (DetectorSettings, "BROKER", "mqtt://h?x=1"),
        (DetectorSettings, "BROKER", "mqtts://h"),
        (DetectorSettings, "BROKER", "http://h"),
        (ProcessorSettings, "BUCKET", "ab"),
        (ProcessorSettings, "BUCKET", "Faces"),
        (ProcessorSettings, "BUCKET", "a b c"),
        (ProcessorSettings, "BUCKET", "a/../b"),
        (ProcessorSettings, "SHARE", "a/b"),
        (ProcessorSettings, "PUTS", "0"),
        (ProcessorSettings, "PUTS", "513"),
        (ProcessorSettings, "MAX_FACE_BYTES", "1023"),
        (GallerySettings, "BUCKET", ""),
        (GallerySettings, "HOSTS", "faces.example:443"),
        (GallerySettings, "HOSTS", "https://faces.example"),
        (VerifySettings, "DEVICE", "-"),
        (ForwarderSettings, "EDGE_BROKER", "mqtt:"),
        (ForwarderSettings, "EDGE_BROKER", "mqtts://h:8883"),
        (ForwarderSettings, "CLOUD_BROKER", "mqtts://h"),
        (ForwarderSettings, "CLOUD_BROKER", "https://h:8883"),
    ],
)
def test_a_bad_value_gets_one_sentence(
    monkeypatch: pytest.MonkeyPatch, settings: type, name: str, value: str
) -> None:
    use(monkeypatch, settings, **{name: value})
    (sentence,) = sentences(settings)
    shown = "***" if value.startswith(("mqtt://h/", "mqtt://h?")) else value  # it may be secret
    begin = f"FACEFLEET_{name}={shown}: " if value else f"FACEFLEET_{name} is empty: "
    assert sentence.startswith(begin)
    assert len(sentence) > len(begin)


@pytest.mark.parametrize(
    "broker",
    [
        "mqtt://user:hunter2@h",
        "mqtt://hunter2@h",
        "mqtt://:hunter2@h",
        "http://user:hunter2@h",
        "mqtt://user:hunter2@h:70000",
        "mqtt://user:/hunter2@h@",
        "mqtt:/user:hunter2@h",
        "mqtt//user:hunter2@h",
        "user:hunter2@h:1883",
        "mqtt://user:hunter2",
        "mqtt://user:hunter2%40h:1883",
        "mqtt://h:1883/?password=hunter2",
    ],
)
def test_a_password_is_refused_and_not_told(monkeypatch: pytest.MonkeyPatch, broker: str) -> None:
    use(monkeypatch, LoggerSettings, BROKER=broker)
    (sentence,) = sentences(LoggerSettings)
    assert sentence.startswith("FACEFLEET_BROKER=***: ")
    assert "hunter2" not in sentence


STREAM = "rtsp://192.0.2.7/live"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"SOURCE": "gstreamer:rtspsrc user-pw=hunter2 ! videoconvert"},
            "SOURCE=***: end the pipeline with ! appsink",
        ),
        ({"USER": "me"}, "USER=***: remove it: only an rtsp or http address has a user"),
        (
            {"SOURCE": "rtsp://a:b@192.0.2.7/", "USER": "me"},
            "USER=***: remove the other user and password from FACEFLEET_SOURCE",
        ),
        (
            {"SOURCE": STREAM, "USER": "me:hunter2"},
            "USER=***: remove the colon: neither RTSP nor HTTP allows it in a user",
        ),
        (
            {"SOURCE": STREAM, "PASSWORD": "hunter2"},
            "PASSWORD=***: set FACEFLEET_USER, too",
        ),
        (
            {"SOURCE": STREAM, "USER": "me", "PASSWORD": "hunter2" + "x" * 118},
            "PASSWORD=***: choose a shorter one: user and password may have 126 characters "
            "(each of @:/# and the like counts three times)",
        ),
        (
            {"SOURCE": STREAM, "USER": "me", "PASSWORD": ":" * 42},
            "PASSWORD=***: choose a shorter one: user and password may have 126 characters "
            "(each of @:/# and the like counts three times)",
        ),
    ],
)
def test_a_login_that_its_source_cannot_use_is_refused_and_not_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], sentence: str
) -> None:
    use(monkeypatch, DetectorSettings, **given)
    assert sentences(DetectorSettings) == [f"FACEFLEET_{sentence}"]


@pytest.mark.parametrize("source", ["/srv/pictures", "rtsp://192.0.2.7/", "sample:hopper"])
def test_what_only_a_device_has_is_refused_elsewhere(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    given = {"PIXEL_FORMAT": "MJPG", "RESOLUTION": "1280x720"}
    use(monkeypatch, DetectorSettings, SOURCE=source, ROTATION="90", **given)
    assert sentences(DetectorSettings) == [
        f"FACEFLEET_{name}={value}: remove it: only a camera of this machine (/dev/...) has this "
        "setting"
        for name, value in given.items()
    ]
    monkeypatch.setenv("FACEFLEET_SOURCE", "/dev/video0")
    settings = load(DetectorSettings)
    assert (settings.pixel_format, settings.resolution) == ("MJPG", "1280x720")
    assert settings.rotation == 90


def test_user_and_password_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DetectorSettings, SOURCE=STREAM, USER="m@e", PASSWORD="@:/#%41 x")
    settings = load(DetectorSettings)
    assert settings.user == "m@e"
    assert settings.password.get_secret_value() == "@:/#%41 x"
    assert "%41" not in repr(settings)
    for password in ("x" * 124, ":" * 41):
        use(monkeypatch, DetectorSettings, SOURCE=STREAM, USER="me", PASSWORD=password)
        assert load(DetectorSettings)
    use(monkeypatch, DetectorSettings, SOURCE="sample:hopper", USER="", PASSWORD="")
    assert load(DetectorSettings).user is None


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (ForwarderSettings, "CLOUD_BROKER"),
        (ProcessorSettings, "BROKER"),
        (StatusSettings, "BROKER"),
    ],
)
def test_tls_needs_a_certificate(
    monkeypatch: pytest.MonkeyPatch, settings: type, name: str
) -> None:
    use(monkeypatch, settings, **{name: "mqtts://h:8883"})
    assert sentences(settings) == ["FACEFLEET_TLS is not set: set it"]
    use(monkeypatch, settings, **{name: "mqtts://h:8883", "TLS": "/etc/facefleet/pki/device"})
    assert load(settings).tls == Path("/etc/facefleet/pki/device")


def test_what_is_not_said_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DetectorSettings, BROKER="mqtt://h", OUTBOX_MAX_BYTES="2GiB")
    settings = load(DetectorSettings)
    assert settings.broker.port == 1883
    assert settings.outbox_max_bytes == 2 << 30
    assert (settings.pixel_format, settings.resolution, settings.rotation) == (None, None, 0)
    assert (settings.detector, settings.model) == ("yunet", None)
    assert (settings.capture, settings.faces_per_visit) == ("visits", 3)
    assert (settings.search, settings.include, settings.exclude) == ("moving", None, None)
    assert settings.faces_only is False
    assert settings.schedule is None
    assert (settings.color, settings.max_face_size, settings.jpeg_quality) == ("gray", 800, 90)
    assert settings.max_face_bytes == 1 << 20


def test_a_model_is_refused_where_it_is_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DetectorSettings, DETECTOR="haar", MODEL="/opt/own.onnx")
    assert sentences(DetectorSettings) == [
        "FACEFLEET_MODEL=/opt/own.onnx: remove it: only the detector yunet has a model"
    ]
    use(monkeypatch, DetectorSettings, DETECTOR="haar", MODEL="")
    assert load(DetectorSettings).detector == "haar"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("", None), ("256kbit", 32_000), ("1.5 Mbit", 187_500), ("64kbit", 8000)],
)
def test_a_rate_is_in_bits(monkeypatch: pytest.MonkeyPatch, text: str, rate: float | None) -> None:
    use(monkeypatch, ForwarderSettings, UPLINK_RATE=text)
    assert load(ForwarderSettings).uplink_rate == rate


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("256", "give bits per second, such as 256kbit or 1.5Mbit"),
        ("256KB", "give bits per second, such as 256kbit or 1.5Mbit"),
        ("63.9kbit", "give at least 64kbit"),
    ],
)
def test_a_rate_without_a_unit_or_that_carries_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    use(monkeypatch, ForwarderSettings, UPLINK_RATE=text)
    assert sentences(ForwarderSettings) == [f"FACEFLEET_UPLINK_RATE={text}: {problem}"]


def test_hours_are_checked_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, DetectorSettings, UPLINK_HOURS='["sat 22:00-06:00"]')
    assert load(DetectorSettings).uplink_hours.active(datetime(2026, 11, 29, 5, tzinfo=UTC))
    use(monkeypatch, DetectorSettings, UPLINK_HOURS="")
    assert load(DetectorSettings).uplink_hours is None
    use(monkeypatch, DetectorSettings, UPLINK_HOURS="at night")
    assert sentences(DetectorSettings) == [
        f"FACEFLEET_UPLINK_HOURS=at night: give a list of hours as JSON, such as {EXAMPLE}"
    ]


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", None),
        ("Faces.example, 192.0.2.7,2001:db8::1", ("faces.example", "192.0.2.7", "2001:db8::1")),
    ],
)
def test_hosts_are_a_list(
    monkeypatch: pytest.MonkeyPatch, text: str, hosts: tuple[str, ...] | None
) -> None:
    use(monkeypatch, GallerySettings, HOSTS=text)
    assert load(GallerySettings).hosts == hosts


# -- docs/settings.md --------------------------------------------------------------------------


KINDS = [
    *(kind for kind in Settings.__subclasses__() if kind is not ServiceSettings),
    *ServiceSettings.__subclasses__(),
]


def command(kind: type[Settings]) -> str:
    """DevicePluginSettings are those of device-plugin."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"-\1", kind.__name__.removesuffix("Settings")).lower()


def table(command: str) -> dict[str, str]:
    """Variable to default, as the page has them."""
    section = PAGE.read_text().split(f"\n## {command}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in section.splitlines()]
    return {row[0].strip("`"): row[1] for row in rows[2:] if row}


@pytest.mark.parametrize("kind", KINDS, ids=command)
def test_the_page_has_each_setting_and_its_default(kind: type[Settings]) -> None:
    shown = table(command(kind))
    assert list(shown) == [f"FACEFLEET_{name.upper()}" for name in kind.model_fields]
    for field, default in zip(kind.model_fields.values(), shown.values(), strict=True):
        if field.is_required() or field.default is None:
            assert default == ("required" if field.is_required() else "")
        else:
            assert TypeAdapter(field.annotation).validate_python(default) == field.default


def test_the_page_has_no_other_command() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(map(command, KINDS))
