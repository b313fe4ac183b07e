"""Store buckets and all versions of their objects in one SQLite file.

Requests that arrive during a commit share the next one, so that a PUT costs only a fraction of an
fsync. The cost of a listing depends on the number of listed entries, not on the bucket's size.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, region TEXT NOT NULL, created REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS configurations (
    bucket TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (bucket, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- the version's id, ascending
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    unversioned INTEGER NOT NULL,  -- S3's version "null"
    latest INTEGER NOT NULL,
    marker INTEGER NOT NULL,  -- a delete marker
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    stored REAL NOT NULL,
    headers TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS history ON versions (bucket, key, number DESC);
CREATE UNIQUE INDEX IF NOT EXISTS newest ON versions (bucket, key) WHERE latest;
"""
COLUMNS = "number, key, unversioned, latest, marker, size, etag, stored, headers"
LAST = chr(0x10FFFF)  # sorts after all characters in names
NEWER = 1 << 62  # greater than any version number


class S3Error(Exception):
    """An error response of S3."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


class Version(NamedTuple):
    """A version of an object, or a delete marker."""

    number: int
    key: str
    unversioned: int
    latest: int
    marker: int
    size: int
    etag: str
    stored: float  # Unix time
    headers: str  # JSON

    @property
    def id(self) -> str:
        return "null" if self.unversioned else f"{self.number:032x}"


@dataclass(frozen=True)
class New:
    """An object to store."""

    key: str
    content: bytes
    etag: str
    headers: str
    only_new: bool  # If-None-Match: *


_T = TypeVar("_T")
Change = Callable[[sqlite3.Connection], _T]


class Storage:
    """Reads in the event loop's thread, and writes in batches in another thread."""

    def __init__(self, file: Path) -> None:
        self._writer = _connect(file)
        self._writer.executescript(SCHEMA)
        self._reader = _connect(file)
        self._reader.execute("PRAGMA query_only = 1")
        self._waiting: list[tuple[Change, asyncio.Future]] = []
        self._committing: asyncio.Task | None = None

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    # -- changes -------------------------------------------------------------------------------

    def create_bucket(self, name: str, region: str) -> Awaitable[None]:
        def change(database: sqlite3.Connection) -> None:
            if database.execute("SELECT 1 FROM buckets WHERE name = ?", (name,)).fetchone():
                raise S3Error(409, "BucketAlreadyOwnedByYou", f"bucket {name} exists already")
            database.execute("INSERT INTO buckets VALUES (?, ?, ?)", (name, region, time.time()))

        return self._change(change)

    def delete_bucket(self, name: str) -> Awaitable[None]:
        def change(database: sqlite3.Connection) -> None:
            _require(database, name)
            if database.execute("SELECT 1 FROM versions WHERE bucket = ?", (name,)).fetchone():
                raise S3Error(409, "BucketNotEmpty", f"bucket {name} has objects or versions")
            database.execute("DELETE FROM configurations WHERE bucket = ?", (name,))
            database.execute("DELETE FROM buckets WHERE name = ?", (name,))

        return self._change(change)

    def configure(self, bucket: str, name: str, body: bytes | None) -> Awaitable[None]:
        """Store a bucket's configuration verbatim; None removes it."""

        def change(database: sqlite3.Connection) -> None:
            _require(database, bucket)
            if body is None:
                database.execute(
                    "DELETE FROM configurations WHERE bucket = ? AND name = ?", (bucket, name)
                )
            else:
                database.execute(
                    "REPLACE INTO configurations VALUES (?, ?, ?)", (bucket, name, body)
                )

        return self._change(change)

    def put(self, bucket: str, new: New) -> Awaitable[Version]:
        def change(database: sqlite3.Connection) -> Version:
            _require(database, bucket)
            found = _latest(database, bucket, new.key)
            if new.only_new and found and not found.marker:
                raise S3Error(412, "PreconditionFailed", f"object {new.key} exists already")
            return _add(database, bucket, new, marker=False)

        return self._change(change)

    def delete(
        self, bucket: str, objects: list[tuple[str, str | None]]
    ) -> Awaitable[list[Version | None]]:
        """Delete objects, given by key and version id or None.

        A version with an id is removed. Without an id, a delete marker is added if the bucket has
        versions. Return the removed version or the marker for each object, or None.
        """

        def change(database: sqlite3.Connection) -> list[Version | None]:
            _require(database, bucket)
            return [
                _mark(database, bucket, key) if id is None else _remove(database, bucket, key, id)
                for key, id in objects
            ]

        return self._change(change)

    async def _change(self, change: Change[_T]) -> _T:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        return await done

    async def _commit(self) -> None:
        while batch := self._waiting:
            self._waiting = []
            results = await asyncio.to_thread(self._apply, [change for change, _ in batch])
            for (_, done), result in zip(batch, results, strict=True):
                if done.cancelled():  # the client has disconnected
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)
        self._committing = None

    def _apply(self, changes: list[Change]) -> list[object]:
        """Apply changes in one transaction. Return the result or the error of each."""
        results: list[object] = []
        try:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                for change in changes:
                    try:
                        results.append(change(self._writer))
                    except S3Error as error:  # changes raise it before they write anything
                        results.append(error)
        except sqlite3.Error as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
            status, code = (507, "InsufficientStorage") if full else (500, "InternalError")
            return [S3Error(status, code, str(error)) for _ in changes]
        return results

    # -- reading -------------------------------------------------------------------------------

    def buckets(self) -> list[tuple[str, float]]:
        return self._reader.execute("SELECT name, created FROM buckets ORDER BY name").fetchall()

    def region(self, bucket: str) -> str:
        return _require(self._reader, bucket)

    def configuration(self, bucket: str, name: str) -> bytes | None:
        _require(self._reader, bucket)
        return _configuration(self._reader, bucket, name)

    def has_versions(self, bucket: str) -> bool:
        return bool(_versioning(self._reader, bucket))

    def find(self, bucket: str, key: str, id: str | None) -> Version | None:
        """Return a version by its id, or the latest without an id; None if there is none."""
        _require(self._reader, bucket)
        if id is None:
            return _latest(self._reader, bucket, key)
        return _version(self._reader, bucket, key, id)

    def content(self, version: Version) -> bytes | None:
        """Return a version's content, or None if it has been deleted meanwhile."""
        select = "SELECT content FROM versions WHERE number = ?"
        found = self._reader.execute(select, (version.number,)).fetchone()
        return found and found[0]

    def listing(
        self,
        bucket: str,
        prefix: str,
        delimiter: str,
        after: str,
        limit: int,
        *,
        versions: bool = False,
        older_than: int | None = None,
    ) -> list[Version | str]:
        """Return up to `limit` objects and folder names after the name `after`, ascending.

        `versions`: include all versions, newest first, instead of the latest only. `older_than`:
        also include versions of `after` itself with a lower number.
        """
        _require(self._reader, bucket)
        which = "1" if versions else "latest AND NOT marker"
        select = (
            f"SELECT {COLUMNS} FROM versions WHERE bucket = ? AND key >= ? AND key < ?"
            f" AND NOT (key = ? AND number >= ?) AND {which} ORDER BY key, number DESC"
        )
        found: list[Version | str] = []
        low = max(prefix, after if older_than is not None or not after else after + "\0")
        while len(found) < limit:
            bounds = (bucket, low, prefix + LAST, after, older_than or NEWER)
            with closing(self._reader.execute(select, bounds)) as rows:
                for version in map(Version._make, rows):
                    cut = version.key.find(delimiter, len(prefix)) if delimiter else -1
                    if cut >= 0:
                        folder = version.key[: cut + len(delimiter)]
                        if folder > after:
                            found.append(folder)
                        low = folder + LAST
                        break  # skip the rest of the folder
                    found.append(version)
                    if len(found) == limit:
                        break
                else:
                    break
        return found


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _require(database: sqlite3.Connection, bucket: str) -> str:
    """Return the bucket's region. Raises S3Error if the bucket does not exist."""
    found = database.execute("SELECT region FROM buckets WHERE name = ?", (bucket,)).fetchone()
    if found is None:
        raise S3Error(404, "NoSuchBucket", f"there is no bucket {bucket}")
    return found[0]


def _configuration(database: sqlite3.Connection, bucket: str, name: str) -> bytes | None:
    select = "SELECT body FROM configurations WHERE bucket = ? AND name = ?"
    found = database.execute(select, (bucket, name)).fetchone()
    return found and found[0]


def _versioning(database: sqlite3.Connection, bucket: str) -> str:
    """Return "Enabled", "Suspended", or an empty string if it was never enabled."""
    body = _configuration(database, bucket, "versioning") or b""
    status = re.search(rb"<Status>\s*(\w+)\s*</Status>", body)
    return status[1].decode() if status else ""


def _latest(database: sqlite3.Connection, bucket: str, key: str) -> Version | None:
    return _select(database, "bucket = ? AND key = ? AND latest", bucket, key)


def _version(database: sqlite3.Connection, bucket: str, key: str, id: str) -> Version | None:
    named = "bucket = ? AND key = ? AND "
    if id == "null":
        return _select(database, named + "unversioned", bucket, key)
    return _select(database, named + "number = ? AND NOT unversioned", bucket, key, number_of(id))


def number_of(id: str) -> int:
    if not re.fullmatch("0{17}[0-9a-f]{15}", id):
        raise S3Error(400, "InvalidArgument", f"{id} is not a version id")
    return int(id, 16)


def _select(database: sqlite3.Connection, where: str, *values: object) -> Version | None:
    found = database.execute(f"SELECT {COLUMNS} FROM versions WHERE {where}", values).fetchone()
    return Version._make(found) if found else None


def _add(database: sqlite3.Connection, bucket: str, new: New, *, marker: bool) -> Version:
    unversioned = _versioning(database, bucket) != "Enabled"
    of_key = (bucket, new.key)
    where = "WHERE bucket = ? AND key = ?"
    if unversioned:
        database.execute(f"DELETE FROM versions {where} AND unversioned", of_key)
    database.execute(f"UPDATE versions SET latest = 0 {where} AND latest", of_key)
    values = (*of_key, unversioned, marker, len(new.content), new.etag, time.time(), new.headers)
    added = database.execute(
        "INSERT INTO versions (bucket, key, unversioned, latest, marker, size, etag, stored,"
        f" headers, content) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}",
        (*values, new.content),
    )
    return Version._make(added.fetchone())


def _mark(database: sqlite3.Connection, bucket: str, key: str) -> Version | None:
    if _versioning(database, bucket):
        return _add(database, bucket, New(key, b"", "", "{}", False), marker=True)
    return _remove(database, bucket, key, "null")


def _remove(database: sqlite3.Connection, bucket: str, key: str, id: str) -> Version | None:
    found = _version(database, bucket, key, id)
    if found:
        database.execute("DELETE FROM versions WHERE number = ?", (found.number,))
        database.execute(
            "UPDATE versions SET latest = 1 WHERE number ="
            " (SELECT max(number) FROM versions WHERE bucket = ? AND key = ?)",
            (bucket, key),
        )
    return found
