"""One frozen settings object per service, read from FACEFLEET_* environment variables.

AWS's own variables (AWS_ENDPOINT_URL, AWS_REGION, credentials) are read by the AWS clients.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    AnyUrl,
    BeforeValidator,
    ByteSize,
    Field,
    InstanceOf,
    SecretStr,
    UrlConstraints,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from facefleet.errors import SettingsError, printable
from facefleet.protocol import is_label
from facefleet.regions import Polygon, polygons
from facefleet.schedule import Schedule

PREFIX = "FACEFLEET_"
LONGEST_LOGIN = 127  # characters of FFmpeg's buffer for user, colon and password of a URL
SLOWEST_UPLINK = 64_000  # bits per second


def _label(text: str) -> str:
    if not is_label(text):
        raise ValueError("use a-z, 0-9 and inner hyphens, at most 63 characters")
    return text


def _broker(url: AnyUrl) -> AnyUrl:
    if url.username or url.password:
        raise ValueError("remove the user and password: they are not supported")
    if not url.port or (url.path or "/") != "/" or url.query or url.fragment:
        raise ValueError(f"give {url.scheme}://host:port and nothing else")
    return url


def _tls(folder: Path | None, others: ValidationInfo) -> Path | None:
    brokers = [url for url in others.data.values() if isinstance(url, AnyUrl)]
    if folder is None and any(url.scheme == "mqtts" for url in brokers):
        raise PydanticCustomError("missing", "mqtts requires it")
    return folder


def _model(path: Path | None, others: ValidationInfo) -> Path | None:
    if path is not None and others.data.get("detector") == "haar":
        raise ValueError("remove it: only the detector yunet has a model")
    return path


def _source(source: str) -> str:
    if source.startswith("gstreamer:") and not re.search(r"!\s*appsink\b[^!]*$", source):
        raise ValueError("end the pipeline with ! appsink")
    return source


def _user(user: str | None, others: ValidationInfo) -> str | None:
    found = re.match(r"(?:rtsps?|https?)://([^/?#]*)", others.data.get("source", ""), re.IGNORECASE)
    if user is None:
        return None
    if found is None:
        raise ValueError("remove it: only an rtsp or http address has a user")
    if "@" in found[1]:
        raise ValueError("remove the other user and password from FACEFLEET_SOURCE")
    if ":" in user:
        raise ValueError("remove the colon: neither RTSP nor HTTP allows it in a user")
    return user


def _password(password: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
    if password is None or "user" not in others.data:
        return password
    if (user := others.data["user"]) is None:
        raise ValueError("set FACEFLEET_USER, too")
    escaped = (quote(part, safe="") for part in (user, password.get_secret_value()))
    if len(":".join(escaped)) > LONGEST_LOGIN:
        raise ValueError(
            f"choose a shorter one: user and password may have {LONGEST_LOGIN - 1} characters "
            "(each of @:/# and the like counts three times)"
        )
    return password


def _of_device(value: str | None, others: ValidationInfo) -> str | None:
    if value is not None and not others.data.get("source", "/dev/").startswith("/dev/"):
        raise ValueError("remove it: only a camera of this machine (/dev/...) has this setting")
    return value


def _resolution(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", text, re.ASCII):
        raise ValueError("give width and height in pixels, such as 1280x720")
    return text


def _address(text: str) -> str:
    found = re.fullmatch(r"([^:\s\[\]]+|\[[0-9a-fA-F:.%]+\]):(\d{1,5})", text, re.ASCII)
    if found is None or not 0 < int(found[2]) < 1 << 16:
        raise ValueError("give host:port, such as 127.0.0.1:8080 or [::1]:8080")
    return text


def host_and_port(address: str) -> tuple[str, int]:
    """Split an HttpAddress into host and port, as sockets expect them."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _bucket(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise ValueError("use 3 to 63 of a-z, 0-9, dots and hyphens")
    return text


def _mapping(text: str | None) -> object:
    try:
        mapping = text and json.loads(text)
    except ValueError:
        mapping = None
    if not isinstance(mapping, dict) or not mapping:
        raise ValueError('give JSON such as {"detector-door": "/dev/video0"}')
    return mapping


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(text.lower().replace(",", " ").split())
    if not all(re.fullmatch(r"[a-z0-9_.-]+|[0-9a-f:.]+", name, re.ASCII) for name in names):
        raise ValueError("give host names or addresses without ports, separated by commas")
    return names


def _rate(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kbit|Mbit)", text, re.ASCII)
    if found is None:
        raise ValueError("give bits per second, such as 256kbit or 1.5Mbit")
    bits = float(found[1]) * {"kbit": 1e3, "Mbit": 1e6}[found[2]]
    if bits < SLOWEST_UPLINK:
        raise ValueError(f"give at least {SLOWEST_UPLINK // 1000}kbit")
    return bits / 8


def _device(path: Path) -> Path:
    if path.parts[:2] != ("/", "dev") or len(path.parts) < 3 or ".." in path.parts:
        raise ValueError("give a path below /dev, such as /dev/video0")
    return path


Label = Annotated[str, AfterValidator(_label)]
Broker = Annotated[
    AnyUrl,
    UrlConstraints(allowed_schemes=["mqtt"], default_port=1883),
    AfterValidator(_broker),
]
CloudBroker = Annotated[
    AnyUrl, UrlConstraints(allowed_schemes=["mqtt", "mqtts"]), AfterValidator(_broker)
]
Tls = Annotated[Path | None, Field(validate_default=True), AfterValidator(_tls)]
"""The folder with ca.crt, tls.crt and tls.key, for mqtts. Declare it after the brokers."""
HttpAddress = Annotated[str, AfterValidator(_address)]
Bucket = Annotated[str, AfterValidator(_bucket)]
Resources = Annotated[
    dict[Label, Annotated[Path, AfterValidator(_device)]], NoDecode, BeforeValidator(_mapping)
]
Polygons = Annotated[
    tuple[Polygon, ...] | None,
    NoDecode,
    BeforeValidator(lambda text: text if text is None else polygons(text)),
]
Week = Annotated[
    InstanceOf[Schedule] | None,
    NoDecode,
    BeforeValidator(lambda text: text if text is None else Schedule.of_json(text)),
]
Hosts = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_names)]
Qos = Annotated[int, Field(ge=0, le=2)]
Rate = Annotated[float, BeforeValidator(_rate)]
"""Bytes per second, given in bits ("256kbit", "1.5Mbit")."""


class Settings(BaseSettings):
    """Base of all settings."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_parse_none_str=""
    )


class ServiceSettings(Settings):
    """Settings of every service."""

    http: HttpAddress
    """Address (host:port) of /healthz, /readyz and /metrics."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class DetectorSettings(ServiceSettings):
    device: Label
    camera: Label
    source: Annotated[str, Field(min_length=1), AfterValidator(_source)]
    """sample:astronaut, sample:hopper, /dev/video0, an rtsp/http address, a video, a folder, or
    gstreamer:... ! appsink."""
    user: Annotated[str | None, AfterValidator(_user)] = None
    """User of an rtsp or http camera, as the camera knows it, with nothing escaped."""
    password: Annotated[SecretStr | None, AfterValidator(_password)] = None
    """The user's password, likewise."""
    pixel_format: Annotated[Literal["MJPG", "YUYV"] | None, AfterValidator(_of_device)] = None
    """Of a camera of this machine; if unset, the camera chooses."""
    resolution: Annotated[str | None, AfterValidator(_resolution), AfterValidator(_of_device)] = (
        None
    )
    """Likewise, in pixels, such as 1280x720."""
    rotation: int = Field(0, ge=0, le=270, multiple_of=90)
    """Degrees by which frames are turned clockwise."""
    fps: float = Field(5, gt=0, le=120)
    """Frames per second that are watched."""
    schedule: Week = None
    """Hours in which the camera is watched, as JSON; always if unset."""
    search: Literal["moving", "every"] = "moving"
    """Search frames for faces while something moves or a face is in view, or every frame."""
    detector: Literal["yunet", "haar"] = "yunet"
    model: Annotated[Path | None, AfterValidator(_model)] = None
    """Another YuNet ONNX file than the one of this package."""
    min_face: int = Field(60, ge=16)
    """Smallest face to detect, in pixels."""
    capture: Literal["visits", "every"] = "visits"
    """The best faces of each visit, or every face of every frame."""
    faces_per_visit: int = Field(3, ge=1)
    """Maximum number of faces of a visit to capture."""
    include: Polygons = None
    """Polygons, as JSON, in fractions of width and height; only faces inside of one count."""
    exclude: Polygons = None
    """Likewise; faces inside of one do not count."""
    faces_only: bool = False
    """Store nothing around a face, and black out other faces in its picture."""
    color: Literal["gray", "color"] = "gray"
    """How faces are stored."""
    max_face_size: int = Field(800, ge=64, le=800)
    """Longest side of a face's picture, in pixels; a larger picture is scaled down."""
    jpeg_quality: int = Field(90, ge=30, le=95)
    """Quality of a face's JPEG. At these maximums, even noise fits into a processor's limit."""
    max_face_bytes: ByteSize = Field(ByteSize(1 << 20), ge=16 << 10, le=1 << 20)
    """Size within which a face's JPEG is kept by a lower quality, and fewer pixels."""
    broker: Broker
    qos: Qos = 0
    window: int = Field(256, ge=1, le=65_535)
    """Maximum number of faces in flight."""
    uplink_hours: Week = None
    """Hours in which faces are sent, as JSON; always if unset."""
    outbox: Path
    outbox_max_bytes: ByteSize = Field(ByteSize(1 << 30), ge=1 << 20)
    """Size beyond which the outbox evicts faces: bytes, or with a unit ("2GiB")."""


class LoggerSettings(ServiceSettings):
    device: Label
    broker: Broker


class ForwarderSettings(ServiceSettings):
    device: Label
    edge_broker: Broker
    cloud_broker: CloudBroker
    tls: Tls = None
    qos: Qos = 0
    uplink_rate: Rate | None = None
    """Maximum rate to send at; unlimited if unset."""
    uplink_messages: int | None = Field(None, ge=1)
    """Maximum number of faces and statuses sent per second. Unlimited if unset."""
    deployed: Path | None = None
    """File in which the playbooks record what runs on this host."""


class ProcessorSettings(ServiceSettings):
    broker: CloudBroker
    tls: Tls = None
    bucket: Bucket
    qos: Qos = 0
    share: Label | None = None
    """Name of the shared subscription among which several processors divide the work."""
    puts: int = Field(128, ge=1, le=512)
    """Maximum number of concurrent PUTs."""
    max_face_bytes: ByteSize = Field(ByteSize(1 << 20), ge=1024, le=1 << 20)


class GallerySettings(ServiceSettings):
    """Settings of the gallery; `http` is also the address of its page."""

    bucket: Bucket
    password: SecretStr | None = None
    """Password for the page. If unset, anyone who can reach the page can see the faces."""
    hosts: Hosts = None
    """Further host names of the page, beside localhost and the address of the connection."""
    broker: CloudBroker | None = None
    """Broker that announces new faces. If unset, a page shows them only when reloaded."""
    tls: Tls = None


class DevicePluginSettings(ServiceSettings):
    resources: Resources
    """Devices of the host by resource name, as JSON: {"detector-door": "/dev/video0"}."""
    kubelet: Path = Path("/var/lib/kubelet/device-plugins")
    """The folder of the kubelet's sockets."""
    dev: Path = Path("/dev")
    """Where the host's /dev is mounted."""


class StatusSettings(Settings):
    broker: CloudBroker
    """The cloud broker, which retains the status of every device."""
    tls: Tls = None


class DevicesSettings(Settings):
    processor: HttpAddress
    """Address (host:port) of the health check of a processor, which hears every status."""


class AuditSettings(Settings):
    bucket: Bucket
    retention_days: int = Field(30, ge=1)
    """Days the bucket keeps faces; older faces are not reported as missing."""


class EraseSettings(Settings):
    bucket: Bucket


class VerifySettings(Settings):
    device: Label
    broker: Broker
    """The device's broker."""
    forwarder: HttpAddress
    """Address (host:port) of the health check of the device's forwarder."""
    bucket: Bucket | None = None
    """Bucket to look for the probe face in. Leave it unset on a device, which may not read it."""


S = TypeVar("S", bound=Settings)


def load(settings: type[S]) -> S:
    """Read the settings from the environment.

    Raises SettingsError, which names every unknown, missing or invalid FACEFLEET_* variable.
    """
    known = {PREFIX + name.upper() for name in settings.model_fields}
    problems = [
        f"{name} is not a setting of this command: remove it (known are {', '.join(sorted(known))})"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in known
    ]
    try:
        loaded = settings()
    except ValidationError as error:
        problems += [_sentence(problem) for problem in error.errors()]
    if problems:
        raise SettingsError("\n".join(problems))
    return loaded


def _sentence(problem: dict) -> str:
    name = PREFIX + str(problem["loc"][0]).upper()
    if problem["type"] == "missing":
        return f"{name} is not set: set it"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["input"] is None:
        return f"{name} is empty: give it a value, or remove it"
    return f"{name}={_redacted(name, printable(str(problem['input'])))}: {message}"


def _redacted(name: str, value: str) -> str:
    """Return a value for the log, or *** if it may contain a password, as an address may."""
    if name.endswith(("PASSWORD", "SOURCE", "USER")):
        return "***"
    address = re.fullmatch(r"[a-z]+://(\[[0-9a-f:]+\]|[\w.-]*)(:\d*)?/?", value, re.IGNORECASE)
    return value if address or not re.search(r"@|%40|//", value) else "***"
