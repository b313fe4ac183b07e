"""The protocol between the services: face names, as topics and as object keys, and receipts.

Pure functions: no clock, no network.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"  # a DNS label: also valid in Kubernetes and S3
_LABEL_RE = re.compile(LABEL)
_TAG_RE = re.compile(r"[0-9a-f]{8}")
_LAST_SEQ = 10**18 - 1
_FACE = (
    rf"faces/({LABEL})/({LABEL})/([1-9]\d{{3}}/\d\d/\d\d)/(\d{{6}})%s(\d{{6}})"
    r"-([0-9a-f]{8})-([1-9]\d{0,17})-([0-9a-f]{8})%s"
)
_KEY_RE = re.compile(_FACE % (r"\.", r"\.jpg"), re.ASCII)
_TOPIC_RE = re.compile(_FACE % ("-", ""), re.ASCII)
_MAX_RECEIPT_BYTES = 64 << 10  # a processor's receipts have at most a hundred short rows

FACES = "faces/#"
ECHO = "faces/echo"
"""Published by a processor to itself: a broker that delivers this delivers faces, too."""
STATUSES = "status/#"
PROBE = "probe"
"""The camera of a probe face, which has no outbox."""
HELLO = "receipts/hello"
"""Published by a forwarder or processor that has (re)connected: resend what is unconfirmed."""

LINK_UP, LINK_DOWN = b"link up", b"link down"
"""The state of a device's link to the cloud, as retained by the cloud broker."""


# Characters for which Mosquitto closes a connection: wildcards, control and non-characters.
_UNSENDABLE_RE = re.compile(
    "[+#\0-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
    + "]"
)


def can_be_sent(topic: str) -> bool:
    """Return whether every broker accepts a message with this topic. Some are stricter."""
    return _UNSENDABLE_RE.search(topic) is None


def is_label(text: str) -> bool:
    """Return whether `text` can name a device or a camera: up to 63 of a-z, 0-9, inner hyphens."""
    return _LABEL_RE.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Return whether `text` can be a content tag."""
    return _TAG_RE.fullmatch(text) is not None


def content_tag(jpeg: bytes) -> str:
    """Return the first 8 hex digits of the SHA-256 of `jpeg`."""
    return tag_of(hashlib.sha256(jpeg).digest())


def tag_of(digest: bytes) -> str:
    """Return the content tag for a SHA-256 that is known already."""
    return digest.hex()[:8]


@dataclass(frozen=True, slots=True)
class FaceName:
    """The name of a face: its camera, capture time, and place in the outbox."""

    device: str
    camera: str
    captured: datetime  # UTC
    epoch: str  # identifies an outbox: 8 random hex digits
    seq: int  # position in the outbox: from 1, without gaps
    tag: str  # see content_tag

    def __str__(self) -> str:
        """Return the object key."""
        return f"{self._spelled('.')}.jpg"

    @property
    def topic(self) -> str:
        """The MQTT topic: the key without dots, which RabbitMQ rewrites and NATS may reject."""
        return self._spelled("-")

    def _spelled(self, point: str) -> str:
        return (
            f"faces/{self.device}/{self.camera}/{moment(self.captured, point)}"
            f"-{self.epoch}-{self.seq}-{self.tag}"
        )

    @classmethod
    def parse(cls, key: str) -> "FaceName | None":
        """Return the name that an object key spells, or None if it is not a face's key."""
        return cls._of(_KEY_RE.fullmatch(key))

    @classmethod
    def of_topic(cls, topic: str) -> "FaceName | None":
        """Return the name that a topic spells, or None if it is not a face's topic.

        Keys are accepted, too, since devices of version 0.1 publish under them.
        """
        return cls._of(_TOPIC_RE.fullmatch(topic) or _KEY_RE.fullmatch(topic))

    @classmethod
    def _of(cls, match: re.Match[str] | None) -> "FaceName | None":
        if match is None:
            return None
        device, camera, day, time, fraction, epoch, seq, tag = match.groups()
        try:
            # Parse ISO 8601's basic format, which takes a quarter of strptime's time.
            captured = datetime.fromisoformat(f"{day.replace('/', '')}T{time}.{fraction}+00:00")
        except ValueError:  # such as 31 February
            return None
        return cls(device, camera, captured, epoch, int(seq), tag)


def moment(time: datetime, point: str = ".") -> str:
    """Format a time (UTC) as in a key, such as 2026/02/28/235959.000001. Sorts by time."""
    # Rearrange ISO 8601's format, which takes a fifth of strftime's time.
    text = time.isoformat(timespec="microseconds")
    return f"{text[:10].replace('-', '/')}/{text[11:19].replace(':', '')}{point}{text[20:26]}"


def day_folder(day: date) -> str:
    """Return the day's part of a key (UTC), which follows the camera's."""
    return f"{day.year:04}/{day:%m/%d}/"


def day_of_folder(folder: str) -> datetime | None:
    """Parse the result of `day_folder` as the start of that day, or return None."""
    try:
        return datetime.strptime(folder, "%Y/%m/%d/").replace(tzinfo=UTC)
    except ValueError:
        return None


def camera_prefix(device: str, camera: str) -> str:
    """Return the prefix of the keys of all faces of a camera."""
    return f"faces/{device}/{camera}/"


def receipts_topic(device: str, camera: str) -> str:
    return f"receipts/{device}/{camera}"


def status_topic(device: str, *levels: str) -> str:
    return "/".join(("status", device, *levels))


@dataclass(slots=True)
class Receipt:
    """The outcomes of some faces of one outbox, by (seq, tag)."""

    epoch: str
    day: date | None = None
    """When `stored` faces were stored (UTC), by the bucket's clock. Absent from receipts of
    version 0.1."""
    stored: list[tuple[int, str]] = field(default_factory=list)
    quarantined: list[tuple[int, str, str]] = field(default_factory=list)  # and the reason
    refused: list[tuple[int, str, str]] = field(default_factory=list)  # and the reason
    clone: bool = False
    """Another device of this name runs. It uses the same epoch, unless `epoch` is empty."""

    def __len__(self) -> int:
        return len(self.stored) + len(self.quarantined) + len(self.refused)

    def encode(self) -> bytes:
        body = {"epoch": self.epoch, "stored": self.stored}
        if self.day:
            body["day"] = self.day.isoformat()
        for verdict in ("quarantined", "refused"):
            if rows := getattr(self, verdict):
                body[verdict] = rows
        if self.clone:
            body["clone"] = True
        return json.dumps(body, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, payload: bytes) -> "Receipt | None":
        """Return the receipt, or None if the untrusted payload is not one."""
        if len(payload) > _MAX_RECEIPT_BYTES:
            return None
        try:
            body = json.loads(payload)
            return cls(
                epoch=str(body["epoch"]),
                day=date.fromisoformat(body["day"]) if "day" in body else None,
                stored=[_face(seq, tag) for seq, tag in body.get("stored", ())],
                quarantined=_with_reason(body.get("quarantined", ())),
                refused=_with_reason(body.get("refused", ())),
                clone=body.get("clone") is True,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


def _face(seq: object, tag: object) -> tuple[int, str]:
    """Validate a face's seq and tag. Raises ValueError if a name cannot contain them."""
    if type(seq) is not int or not 1 <= seq <= _LAST_SEQ:
        raise ValueError(f"{seq!r} is not a seq")
    if not isinstance(tag, str) or not is_tag(tag):
        raise ValueError(f"{tag!r} is not a tag")
    return seq, tag


def _with_reason(rows: Iterable) -> list[tuple[int, str, str]]:
    return [
        (*_face(seq, tag), str(reason).encode(errors="replace").decode())
        for seq, tag, reason in rows
    ]
