"""Open and check an outbox's SQLite file, and set a damaged one aside."""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from facefleet.errors import FacefleetError
from facefleet.logging import log

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE outbox (
    device TEXT NOT NULL, camera TEXT NOT NULL, epoch TEXT NOT NULL,
    captured INTEGER NOT NULL DEFAULT 0,    -- the last seq
    stored INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE ledger (                       -- one row per face, except evicted and expired ones
    seq INTEGER PRIMARY KEY,
    captured INTEGER NOT NULL,              -- microseconds since 1970
    tag TEXT NOT NULL,
    state INTEGER NOT NULL                  -- see State
);
CREATE TABLE pending (seq INTEGER PRIMARY KEY, jpeg BLOB NOT NULL);
CREATE TABLE dead (
    seq INTEGER PRIMARY KEY, jpeg BLOB NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE evicted (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE dropped (seq INTEGER PRIMARY KEY, at TEXT NOT NULL)  -- dead letters deleted by hand
"""
# Number of rows pruned from the ledger. For an older file, all rows that it lacks count as pruned.
_PRUNING = """
CREATE TABLE pruning AS SELECT captured
    - (SELECT count(*) FROM ledger) - (SELECT count(*) FROM dropped)
    - (SELECT coalesce(sum(last - first + 1), 0) FROM evicted) AS pruned FROM outbox
"""
# When a face's outcome was recorded, by the bucket's clock, in days since 1970.
_DAY = "ALTER TABLE ledger ADD COLUMN day INTEGER"
# What the camera saw: see `coverage.Range`.
_COVERAGE = (
    "CREATE TABLE coverage (first INTEGER NOT NULL, last INTEGER NOT NULL, state TEXT NOT NULL,"
    " seconds INTEGER NOT NULL)",
    "CREATE INDEX coverage_last ON coverage (last)",
)
# See backlog.Rank. The index is in the order of eviction, and covers only pending faces.
_RANK = (
    "ALTER TABLE ledger ADD COLUMN rank INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX ledger_pending ON ledger (rank DESC, seq) WHERE state = 0",
)
# Epochs that the outbox no longer uses for new faces: see `epochs`.
_FORMER_EPOCHS = (
    "CREATE TABLE former_epochs (last INTEGER PRIMARY KEY, epoch TEXT NOT NULL, at TEXT NOT NULL)"
)


class OutboxError(FacefleetError):
    """The outbox cannot be used."""


class Database:
    """A connection in the modes that the outbox's guarantees require."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open or create the file. With `create`, a damaged file is set aside first.

        Raises OutboxError if the folder is not writable, if the file has another version, or,
        without `create`, if the file is missing or damaged.
        """
        if not create and not path.is_file():
            raise OutboxError(f"there is no outbox {path}: give the file that the detector uses")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            problem = _damage(path) if path.exists() else None
            if problem and create:
                _set_aside_broken(path, problem)
            elif problem:
                raise OutboxError(
                    f"{path} is damaged ({problem}), or not an outbox: restart its detector, "
                    "which sets the file aside and creates a new one"
                )
            if not create and not _is_outbox(path):
                raise OutboxError(f"{path} is not an outbox: give the file that the detector uses")
            self._db = _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise OutboxError(f"cannot open the outbox {path} ({error}): check the path") from error
        self.execute, self.executemany = self._db.execute, self._db.executemany
        version = self.value("PRAGMA user_version")
        if version == 0 and create:
            with self.transaction():
                for statement in _SCHEMA.split(";"):
                    self.execute(statement)
                self.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise OutboxError(
                f"{path} is not an outbox of this version of facefleet: use the version that "
                "created it"
            )

    def copy_to(self, path: Path) -> None:
        """Write the whole content of this connection durably to a new file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(path)) as copy:
            copy.execute("PRAGMA synchronous = FULL")
            self._db.backup(copy)

    def upgrade(self) -> None:
        """Add the columns and tables that a file of an older version lacks."""
        with self.transaction():
            if not self.counts_pruned():
                self.execute(_PRUNING)
            if not self.has_days():
                self.execute(_DAY)
            if not self.has_coverage():
                for statement in _COVERAGE:
                    self.execute(statement)
            if not self._has_column("rank"):
                for statement in _RANK:
                    self.execute(statement)
            if not self.has_former_epochs():
                self.execute(_FORMER_EPOCHS)

    def counts_pruned(self) -> bool:
        return self._has_table("pruning")

    def has_coverage(self) -> bool:
        return self._has_table("coverage")

    def has_former_epochs(self) -> bool:
        return self._has_table("former_epochs")

    def has_days(self) -> bool:
        return self._has_column("day")

    def _has_column(self, name: str) -> bool:
        found = "SELECT count(*) FROM pragma_table_info('ledger') WHERE name = ?"
        return bool(self.execute(found, (name,)).fetchone()[0])

    def _has_table(self, name: str) -> bool:
        found = self.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (name,))
        return bool(found.fetchone()[0])

    def value(self, sql: str) -> int:
        """Return the first column of the first row."""
        return self.execute(sql).fetchone()[0]

    @contextlib.contextmanager
    def transaction(self, durable: bool = True) -> Iterator[None]:
        """Commit all or nothing. Unless `durable`, a power cut (not a crash) may undo a commit."""
        self.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self.execute("ROLLBACK")
            raise

    def free_bytes(self) -> int:
        """Return how many bytes of the file new rows can reuse."""
        return self.value("PRAGMA freelist_count") * self.value("PRAGMA page_size")

    def rewind_log(self) -> None:
        """Rewind the write-ahead log, which cannot grow on a full disk and blocks all writes.

        The log keeps the size of its file, as other programs might use up space that it frees.
        """
        with contextlib.suppress(sqlite3.OperationalError):  # blocked by a reader: retried later
            self.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def close(self) -> None:
        self._db.close()


def is_full(error: sqlite3.OperationalError) -> bool:
    """Return whether the disk is full, which SQLite reports as FULL or as a write error."""
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL or error.sqlite_errorname in (
        "SQLITE_IOERR_WRITE",
        "SQLITE_IOERR_SHMSIZE",
    )


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    # Keep the log small: it blocks writes on a full disk, and a restart reads it. If it were even
    # smaller, every commit would cause a checkpoint.
    db.execute("PRAGMA wal_autocheckpoint = 256")
    # Debian's SQLite overwrites deleted content with zeros, which doubles the cost of a receipt.
    db.execute("PRAGMA secure_delete = OFF")
    db.execute(f"PRAGMA journal_size_limit = {1 << 20}")
    return db


def _is_outbox(path: Path) -> bool:
    """Return whether the file has an outbox's tables. Nothing is written."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        return "outbox" in tables and db.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def _damage(path: Path) -> str | None:
    """Return what is wrong with the file, or None."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as db:
        try:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked or unreadable, not damaged
                raise
            return str(error)
    return None if found == "ok" else found


def set_aside(path: Path, why: str) -> str:
    """Rename the file and its log to make room for a new file. Return the new name."""
    mark = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = f"{path.name}.{why}-{mark}"
    for suffix in ("", "-wal", "-shm"):  # SQLite looks for the log by the file's name
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(aside + suffix))
    return aside


def _set_aside_broken(path: Path, problem: str) -> None:
    aside = set_aside(path, "broken")
    log.error(
        "outbox damaged and set aside: a new one has been created, and pending faces of the old "
        "one are not sent; sqlite3's .recover may still read them",
        outbox=str(path),
        kept_as=aside,
        problem=problem,
    )
