"""A face's name as MQTT topic and as object key, and receipts on the wire.

Pure functions: no clock, no network.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # a DNS label: also fits Kubernetes and S3
_LABEL_RE = re.compile(_LABEL)
_TAG_RE = re.compile(r"[0-9a-f]{8}")
_LAST_SEQ = 10**18 - 1
_FACE = (
    rf"faces/({_LABEL})/({_LABEL})/([1-9]\d{{3}}/\d\d/\d\d)/(\d{{6}})%s(\d{{6}})"
    r"-([0-9a-f]{8})-([1-9]\d{0,17})-([0-9a-f]{8})%s"
)
_KEY_RE = re.compile(_FACE % (r"\.", r"\.jpg"), re.ASCII)
_TOPIC_RE = re.compile(_FACE % ("-", ""), re.ASCII)
_LARGEST_RECEIPT = 64 << 10  # bytes; a processor's has a hundred short rows at most

FACES = "faces/#"
ECHO = "faces/echo"
"""Said by a processor to itself: a broker that delivers this delivers faces."""
STATUSES = "status/#"
HELLO = "receipts/hello"
"""Said by a forwarder or a processor that has (re)connected: send what is unconfirmed again."""

LINK_UP, LINK_DOWN = b"link up", b"link down"
"""What a device's status, retained in the cloud, says of its way there."""


# What Mosquitto ends a connection for: wildcards and control characters, and what is no character.
_UNSENDABLE_RE = re.compile(
    "[+#\0-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
)


def can_be_sent(topic: str) -> bool:
    """Whether every broker takes a message with this topic; some let through what others do not."""
    return _UNSENDABLE_RE.search(topic) is None


def is_label(text: str) -> bool:
    """Whether `text` can name a device or a camera: a-z, 0-9 and inner hyphens, at most 63."""
    return _LABEL_RE.fullmatch(text) is not None


def content_tag(jpeg: bytes) -> str:
    """The first 8 hex digits of the content's SHA-256."""
    return tag_of(hashlib.sha256(jpeg).digest())


def tag_of(digest: bytes) -> str:
    """The same of a SHA-256 that is there already."""
    return digest.hex()[:8]


@dataclass(frozen=True, slots=True)
class FaceName:
    """Where, when and which: everything the name of a face says."""

    device: str
    camera: str
    captured: datetime  # UTC
    epoch: str  # names an outbox: 8 hex digits, random
    seq: int  # counts in the outbox from 1, without gaps
    tag: str  # see content_tag

    def __str__(self) -> str:
        """The object's key."""
        return f"{self._spelled('.')}.jpg"

    @property
    def topic(self) -> str:
        """The MQTT topic: the key without its dots, which RabbitMQ rewrites and NATS may refuse."""
        return self._spelled("-")

    def _spelled(self, point: str) -> str:
        return (
            f"faces/{self.device}/{self.camera}/{moment(self.captured, point)}"
            f"-{self.epoch}-{self.seq}-{self.tag}"
        )

    @classmethod
    def parse(cls, key: str) -> "FaceName | None":
        """The name that an object's key spells, or None where it is not a face's."""
        return cls._of(_KEY_RE.fullmatch(key))

    @classmethod
    def of_topic(cls, topic: str) -> "FaceName | None":
        """The name that a topic spells, or None where it is not a face's.

        A key is taken too: devices of version 0.1 publish under it.
        """
        return cls._of(_TOPIC_RE.fullmatch(topic) or _KEY_RE.fullmatch(topic))

    @classmethod
    def _of(cls, match: re.Match[str] | None) -> "FaceName | None":
        if match is None:
            return None
        device, camera, day, time, fraction, epoch, seq, tag = match.groups()
        try:
            # From ISO 8601's basic form: a quarter of strptime's price.
            captured = datetime.fromisoformat(f"{day.replace('/', '')}T{time}.{fraction}+00:00")
        except ValueError:  # the 31st of February
            return None
        return cls(device, camera, captured, epoch, int(seq), tag)


def moment(time: datetime, point: str = ".") -> str:
    """A time (UTC) as a key has it, 2026/02/28/235959.000001: it sorts as times do."""
    # From ISO 8601's text: a fifth of strftime's price.
    text = time.isoformat(timespec="microseconds")
    return f"{text[:10].replace('-', '/')}/{text[11:19].replace(':', '')}{point}{text[20:26]}"


def day_folder(day: date) -> str:
    """The part of a key that all faces of one camera and day (UTC) share after the camera's."""
    return f"{day.year:04}/{day:%m/%d}/"


def day_of_folder(folder: str) -> datetime | None:
    """The start of the day that `day_folder` spells so, or None where it spells none."""
    try:
        return datetime.strptime(folder, "%Y/%m/%d/").replace(tzinfo=UTC)
    except ValueError:
        return None


def camera_prefix(device: str, camera: str) -> str:
    """The part of the key that all faces of one camera share."""
    return f"faces/{device}/{camera}/"


def receipts_topic(device: str, camera: str) -> str:
    return f"receipts/{device}/{camera}"


def status_topic(device: str, *what: str) -> str:
    return "/".join(("status", device, *what))


@dataclass(slots=True)
class Receipt:
    """What became of some faces of one outbox, by (seq, tag)."""

    epoch: str
    day: date | None = None
    """When those that are stored were (UTC), by the bucket's clock; processors of version 0.1 do
    not say it."""
    stored: list[tuple[int, str]] = field(default_factory=list)
    quarantined: list[tuple[int, str, str]] = field(default_factory=list)  # and the reason
    refused: list[tuple[int, str, str]] = field(default_factory=list)  # and the reason

    def __len__(self) -> int:
        return len(self.stored) + len(self.quarantined) + len(self.refused)

    def encode(self) -> bytes:
        body = {"epoch": self.epoch, "stored": self.stored}
        if self.day:
            body["day"] = self.day.isoformat()
        for verdict in ("quarantined", "refused"):
            if rows := getattr(self, verdict):
                body[verdict] = rows
        return json.dumps(body, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, payload: bytes) -> "Receipt | None":
        """The receipt, or None where the payload is not one (anybody may publish anything)."""
        if len(payload) > _LARGEST_RECEIPT:
            return None
        try:
            body = json.loads(payload)
            return cls(
                epoch=str(body["epoch"]),
                day=date.fromisoformat(body["day"]) if "day" in body else None,
                stored=[_face(seq, tag) for seq, tag in body.get("stored", ())],
                quarantined=_with_reason(body.get("quarantined", ())),
                refused=_with_reason(body.get("refused", ())),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


def _face(seq: object, tag: object) -> tuple[int, str]:
    """Both as a face's name has them, which is also what the outbox's columns hold."""
    if type(seq) is not int or not 1 <= seq <= _LAST_SEQ:
        raise ValueError(f"{seq!r} is not a seq")
    if not isinstance(tag, str) or not _TAG_RE.fullmatch(tag):
        raise ValueError(f"{tag!r} is not a tag")
    return seq, tag


def _with_reason(rows: Iterable) -> list[tuple[int, str, str]]:
    return [
        (*_face(seq, tag), str(reason).encode(errors="replace").decode())
        for seq, tag, reason in rows
    ]
