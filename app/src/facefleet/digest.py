"""Digests of an outbox's ledger, by which an audit far away can tell whether every face is stored.

A device publishes three kinds of messages. The topic of each is also its key in the bucket:

- `digests/DEVICE/CAMERA/EPOCH/head/NUMBER`: the totals, and the hash of each day's digest.
- `digests/DEVICE/CAMERA/EPOCH/day/YYYY-MM-DD-HASH`: counts and a hash for each hour. The
  HASH is that of the content, so a head names exactly the days that belong to it.
- `digests/DEVICE/CAMERA/EPOCH/lines/YYYY-MM-DDTHH-PART`: the faces of one hour, which the device
  sends if asked. They are not stored.

Days and hours are those of the capture (UTC), as in the keys of faces, so the faces of an hour are
what the bucket lists under `hour_prefix`. Objects are never overwritten: of several heads, the one
with the highest number is the newest.

Pure functions: no clock, no network. What is decoded is not trusted.
"""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from typing import Literal, NamedTuple, TypeVar, get_args

from facefleet.protocol import LABEL, is_tag

DIGESTS = "digests/#"
PREFIX = "digests/"
"""Of the keys in the bucket."""
MAX_BYTES = 60_000  # of a message
MAX_DAYS = 400  # in a head
MAX_RANGES = 50  # in a head
MAX_ASKED = 64  # hours, or days, in one question
LINES = 1500  # in a message, so that it stays below MAX_BYTES whatever the gaps between seqs

_MOST = 10**18 - 1  # of a seq, and of a count
_DIGITS = 12  # of a number in a key, so that keys sort by it
_HASH_RE = re.compile(r"[0-9a-f]{16}")
_WORD_RE = re.compile(r"[0-9A-Za-z._-]{1,64}")
_NAME_RE = re.compile(
    rf"digests/({LABEL})/({LABEL})/([0-9a-f]{{8}})/(?:"
    rf"(head)/(\d{{{_DIGITS}}})|(day)/(\d{{4}}-\d\d-\d\d-[0-9a-f]{{16}})"
    r"|(lines)/(\d{4}-\d\d-\d\dT\d\d-\d{1,4}))",
    re.ASCII,
)

Kind = Literal["head", "day", "lines"]
StateLetter = Literal["p", "s", "q", "d"]
"""The state of a face: pending, stored, quarantined, dead."""
_LETTERS = frozenset(get_args(StateLetter))
_T = TypeVar("_T")


class DigestName(NamedTuple):
    """What a topic or key spells: see this module."""

    device: str
    camera: str
    epoch: str
    kind: Kind
    name: str  # the last level

    def __str__(self) -> str:
        """Return the topic, which is also the key."""
        return "/".join(("digests", *self))

    @classmethod
    def parse(cls, text: str) -> "DigestName | None":
        """Return what a topic or key spells, or None if it is not a digest's."""
        if (match := _NAME_RE.fullmatch(text)) is None:
            return None
        device, camera, epoch, *rest = (group for group in match.groups() if group is not None)
        return cls(device, camera, epoch, *rest)


def digests_prefix(device: str, camera: str, epoch: str, kind: Kind) -> str:
    """Return the prefix of the keys of one kind, for one outbox."""
    return f"{PREFIX}{device}/{camera}/{epoch}/{kind}/"


def hour_prefix(device: str, camera: str, hour: datetime) -> str:
    """Return the prefix of the keys of all faces that a camera captured in an hour (UTC)."""
    return f"faces/{device}/{camera}/{hour:%Y/%m/%d/%H}"


def hash_of(faces: Iterable[tuple[int, str]]) -> str:
    """Return the hash over (seq, tag) of faces, whatever their order."""
    lines = "".join(f"{seq} {tag}\n" for seq, tag in sorted(faces))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Hour:
    """The faces of one hour that have a line in the ledger, by their state."""

    stored: int  # confirmed to be in the bucket
    hash: str  # hash_of the stored ones
    quarantined: int = 0
    pending: int = 0
    dead: int = 0

    @property
    def lines(self) -> int:
        return self.stored + self.quarantined + self.pending + self.dead


@dataclass(frozen=True, slots=True)
class Day:
    """The hours (0 to 23) of one day that have lines in the ledger."""

    day: date
    hours: Mapping[int, Hour]

    def encode(self) -> bytes:
        hours = {
            hour: [entry.stored, entry.hash, entry.quarantined, entry.pending, entry.dead]
            for hour, entry in sorted(self.hours.items())
        }
        return _json({"day": self.day.isoformat(), "hours": hours})

    @classmethod
    def decode(cls, payload: bytes) -> "Day | None":
        """Return the day, or None if the payload is not one."""
        return _decode(payload, cls._of)

    @classmethod
    def _of(cls, body: dict) -> "Day":
        hours = {_hour_of_day(text): _hour(entry) for text, entry in body["hours"].items()}
        return cls(_day(body["day"]), hours)


def day_name(device: str, camera: str, epoch: str, day: date, payload: bytes) -> DigestName:
    """Return the name of an encoded day."""
    return DigestName(device, camera, epoch, "day", f"{day.isoformat()}-{content_hash(payload)}")


def content_hash(payload: bytes) -> str:
    """Return the hash of an encoded day, as in its name and in a head."""
    return hashlib.sha256(payload).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Head:
    """The whole ledger at one moment.

    It adds up if captured = stored + quarantined + pending + evicted + dead + dropped, and if the
    hours of its days have as many lines as `lines` says.
    """

    number: int
    """Higher than that of every earlier head of this outbox, also across restarts. It follows the
    device's clock (seconds since 1970), and so grows even if an older copy of the outbox is
    restored."""
    time: datetime  # by the device's clock (UTC)
    instance: str
    """Random, new at each start of the detector. If heads of one epoch come with two instances in
    turn (A, B, A), two detectors run with copies of one outbox: a restart never returns to A."""
    machine: str
    """Identifies the machine, as far as the detector can tell: see `machine.machine_id`. It differs
    between two devices that run copies of one SD card, unless they hide their hardware."""
    captured: int  # the last seq
    stored: int
    quarantined: int
    pending: int
    evicted: int
    dead: int
    dropped: int
    pruned: int  # lines of stored and quarantined faces that are deleted after 30 days
    gone: Sequence[tuple[int, int]]
    """Ranges (first, last) of seqs with all faces that were evicted or dropped. They are exact up
    to MAX_RANGES; beyond it, ranges that are close to each other are merged."""
    days: Mapping[date, str]  # the hash in the name of each day's digest
    days_omitted: int = 0  # days with lines beyond MAX_DAYS: the oldest ones

    @property
    def adds_up(self) -> bool:
        outcomes = self.stored + self.quarantined + self.pending + self.dead
        return self.captured == outcomes + self.evicted + self.dropped

    @property
    def lines(self) -> int:
        """The number of faces that must have a line in the ledger, and so in the days."""
        return self.captured - self.evicted - self.dropped - self.pruned

    def name(self, device: str, camera: str, epoch: str) -> DigestName:
        return DigestName(device, camera, epoch, "head", f"{self.number:0{_DIGITS}}")

    def day_names(self, device: str, camera: str, epoch: str) -> dict[date, DigestName]:
        """Return the names of the digests of all days."""
        return {
            day: DigestName(device, camera, epoch, "day", f"{day.isoformat()}-{content}")
            for day, content in self.days.items()
        }

    def encode(self) -> bytes:
        body = {name: getattr(self, name) for name in _HEAD_FIELDS}
        body["time"] = self.time.astimezone(UTC).isoformat(timespec="seconds")
        body["days"] = {day.isoformat(): content for day, content in sorted(self.days.items())}
        return _json(body)

    @classmethod
    def decode(cls, payload: bytes) -> "Head | None":
        """Return the head, or None if the payload is not one."""
        return _decode(payload, cls._of)

    @classmethod
    def _of(cls, body: dict) -> "Head":
        time = datetime.fromisoformat(body["time"])
        if time.tzinfo is None or not 0 <= body["number"] < 10**_DIGITS:
            raise ValueError("no time zone, or a number that has no place in a name")
        if len(body["days"]) > MAX_DAYS or len(body["gone"]) > MAX_RANGES:
            raise ValueError("too many days or ranges")
        return cls(
            time=time.astimezone(UTC),
            instance=_matching(_WORD_RE, body["instance"]),
            machine=_matching(_WORD_RE, body["machine"]),
            gone=[(_count(first), _count(last)) for first, last in body["gone"]],
            days={_day(day): _matching(_HASH_RE, content) for day, content in body["days"].items()},
            **{name: _count(body[name]) for name in _HEAD_COUNTS},
        )


_HEAD_FIELDS = [field.name for field in fields(Head)]
_HEAD_COUNTS = [field.name for field in fields(Head) if field.type is int]


class Line(NamedTuple):
    """A face in the ledger."""

    seq: int
    tag: str
    state: StateLetter


@dataclass(frozen=True, slots=True)
class Lines:
    """A part of the lines of one hour, as of the head with this number or later."""

    hour: datetime  # UTC
    number: int
    """The same in all parts of one answer: do not combine parts of different numbers."""
    part: int  # from 0
    parts: int
    lines: Sequence[Line]  # ascending by seq

    def name(self, device: str, camera: str, epoch: str) -> DigestName:
        return DigestName(device, camera, epoch, "lines", f"{hour_text(self.hour)}-{self.part}")

    def encode(self) -> bytes:
        """Encode runs of consecutive seqs: the first seq, and the tags and states of all."""
        runs: list[list] = []
        expected = None
        for seq, tag, state in self.lines:
            if seq != expected:
                runs.append([seq, [], []])
            runs[-1][1].append(tag)
            runs[-1][2].append(state)
            expected = seq + 1
        return _json(
            {
                "hour": hour_text(self.hour),
                "number": self.number,
                "part": self.part,
                "parts": self.parts,
                "runs": [[first, "".join(tags), "".join(states)] for first, tags, states in runs],
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> "Lines | None":
        """Return the part, or None if the payload is not one."""
        return _decode(payload, cls._of)

    @classmethod
    def _of(cls, body: dict) -> "Lines":
        lines = [line for run in body["runs"] for line in _run(*run)]
        return cls(
            parse_hour(body["hour"]),
            *(_count(body[name]) for name in ("number", "part", "parts")),
            lines,
        )


def split_lines(
    hour: datetime, number: int, lines: Sequence[Line], most: int = LINES
) -> Iterator[Lines]:
    """Yield the parts of an hour's lines, which are ascending by seq. There is at least one."""
    starts = range(0, max(1, len(lines)), most)
    for part, start in enumerate(starts):
        yield Lines(hour, number, part, len(starts), lines[start : start + most])


def decode(name: DigestName, payload: bytes) -> Head | Day | Lines | None:
    """Return what a message contains, or None if it is not what its name says."""
    outbox = name.device, name.camera, name.epoch
    match name.kind:
        case "head":
            found = Head.decode(payload)
            spelled = found and found.name(*outbox)
        case "day":
            found = Day.decode(payload)
            spelled = found and day_name(*outbox, found.day, payload)
        case "lines":
            found = Lines.decode(payload)
            spelled = found and found.name(*outbox)
    return found if spelled == name else None


# -- questions -------------------------------------------------------------------------------------


def ask_topic(device: str, camera: str) -> str:
    """Return the topic of questions to one camera's detector."""
    return f"asks/{device}/{camera}"


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a detector. It always answers with a new head and the days that changed."""

    hours: Sequence[datetime] = ()  # of which the lines are wanted
    days: Sequence[date] = ()  # that are wanted again, although the processor confirmed them

    def encode(self) -> bytes:
        return _json(
            {
                "hours": [hour_text(h) for h in self.hours],
                "days": [d.isoformat() for d in self.days],
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> "Ask | None":
        """Return the question, or None if the payload is not one. An empty payload is."""
        return _decode(payload, cls._of) if payload else cls()

    @classmethod
    def _of(cls, body: dict) -> "Ask":
        hours, days = body.get("hours", []), body.get("days", [])
        if len(hours) > MAX_ASKED or len(days) > MAX_ASKED:
            raise ValueError("too many hours or days")
        return cls([parse_hour(h) for h in hours], [_day(d) for d in days])


def hour_text(hour: datetime) -> str:
    """Format an hour (UTC), such as 2026-02-28T23."""
    return hour.astimezone(UTC).isoformat()[:13]


def parse_hour(text: str) -> datetime:
    """Parse the result of `hour_text`. Raises ValueError."""
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d", text, re.ASCII):
        raise ValueError(f"{text!r} is not an hour")
    return datetime.fromisoformat(f"{text}:00:00+00:00")


# -- signatures ------------------------------------------------------------------------------------


class Sealed(NamedTuple):
    """A message or object: the payload, and what proves which device it is from."""

    payload: bytes
    signature: bytes = b""  # of `signed_content`; empty if the fleet has no TLS
    certificate: bytes = b""  # of the device (DER)

    def encode(self) -> bytes:
        if not self.signature:
            return self.payload
        return b"\n".join((self.payload, b64encode(self.signature), b64encode(self.certificate)))

    @classmethod
    def decode(cls, message: bytes) -> "Sealed | None":
        """Return the parts, or None if the message is too long or does not consist of them."""
        payload, *seal = message.split(b"\n", 3)
        if len(message) > MAX_BYTES or len(seal) not in (0, 2):
            return None
        try:
            return cls(payload, *(b64decode(part, validate=True) for part in seal))
        except ValueError:
            return None


def signed_content(name: DigestName | str, payload: bytes) -> bytes:
    """Return what a device signs: a payload cannot be used again under another name."""
    return f"{name}\n".encode() + payload


# -- reading what is not trusted -------------------------------------------------------------------


def _json(body: dict) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _decode(payload: bytes, read: Callable[[dict], _T]) -> _T | None:
    if len(payload) > MAX_BYTES:
        return None
    try:
        return read(json.loads(payload))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(f"{text!r} is not in the format of a digest")
    return day


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError(f"{value!r} is not a count")
    return value


def _matching(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not valid")
    return value


def _hour_of_day(text: str) -> int:
    hour = int(text)
    if str(hour) != text or not 0 <= hour <= 23:
        raise ValueError(f"{text!r} is not an hour")
    return hour


def _hour(entry: Sequence) -> Hour:
    stored, content, *others = entry
    if len(others) != 3:
        raise ValueError("an hour has five values")
    return Hour(_count(stored), _matching(_HASH_RE, content), *map(_count, others))


def _run(first: object, tags: str, states: str) -> Iterator[Line]:
    if _count(first) + len(states) > _MOST or len(tags) != 8 * len(states):
        raise ValueError("a run needs a seq, and for each face a tag and a state")
    for offset, state in enumerate(states):
        tag = tags[8 * offset : 8 * offset + 8]
        if not is_tag(tag) or state not in _LETTERS:
            raise ValueError(f"{tag!r} or {state!r} is not valid")
        yield Line(first + offset, tag, state)
