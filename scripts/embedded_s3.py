#!/usr/bin/env python3
"""moto's S3, whose buckets outlive a stop: `embedded_s3.py FILE [moto_server's options]`.

moto has them, and their tags, in memory. They are written to FILE when SIGTERM comes, and read from
it at the start; a kill loses them. A page of a listing costs what it shows: moto itself looks at
every object of the bucket for each, which stops all PUTs meanwhile.
"""

import os
import pickle
import sys
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from threading import RLock

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3 import models
from moto.s3.models import FakeDeleteMarker, S3Backend, s3_backends
from moto.s3.utils import _VersionedKeyStore
from moto.server import main


class SortedKeyStore(_VersionedKeyStore):
    """A bucket's objects, and their names in the order of a listing."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.lock = RLock()

    def __setitem__(self, key: str, value: object) -> None:
        with self.lock:
            self._name(key)
            super().__setitem__(key, value)

    def setlist(self, key: str, list_: object) -> None:
        with self.lock:
            self._name(key)
            super().setlist(key, list_)

    def pop(self, key: str) -> None:
        with self.lock:
            super().pop(key)
            del self.names[bisect_left(self.names, key)]

    def _name(self, key: str) -> None:
        if key not in self:
            insort(self.names, key)

    def __reduce__(self) -> tuple:
        return _restore, (list(self.lists()),)  # a dict's own way would keep the latest only

    def entries(self, prefix: str, delimiter: str, after: str) -> Iterator[object]:
        """Objects, and names of folders, under a prefix and after a name, ascending."""
        at = max(bisect_left(self.names, prefix), bisect_right(self.names, after))
        while at < len(self.names) and self.names[at].startswith(prefix):
            name = self.names[at]
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                folder = name[: cut + len(delimiter)]
                if folder > after:
                    yield folder
                at = bisect_left(self.names, folder[:-1] + chr(ord(folder[-1]) + 1), at)
            else:
                if not isinstance(found := self[name], FakeDeleteMarker):
                    yield found
                at += 1


def _restore(lists: list[tuple[str, list]]) -> SortedKeyStore:
    store = SortedKeyStore()
    for key, versions in lists:
        store.setlist(key, versions)
    return store


def list_objects_v2(
    self: S3Backend,
    bucket: models.FakeBucket,
    prefix: str | None,
    delimiter: str | None,
    continuation_token: str | None,
    start_after: str | None,
    max_keys: int,
) -> tuple:
    """In place of moto's."""
    token = continuation_token and self._pagination_tokens.get(continuation_token)
    after = token or start_after or ""
    with bucket.keys.lock:
        found = list(
            islice(bucket.keys.entries(prefix or "", delimiter or "", after), max_keys + 1)
        )
    return self._truncate_result(found, max_keys)


def install() -> None:
    """Make moto use these."""
    models._VersionedKeyStore = SortedKeyStore
    S3Backend.list_objects_v2 = list_objects_v2


def run(file: Path, options: list[str]) -> None:
    install()
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    if file.exists():
        backend.buckets, backend.tagger = pickle.loads(file.read_bytes())
    for bucket in backend.buckets.values():
        if not isinstance(bucket.keys, SortedKeyStore):  # written by an earlier version
            bucket.keys = _restore(list(bucket.keys.lists()))
    try:
        main(options)
    finally:
        new = file.with_suffix(".new")
        with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            pickle.dump((backend.buckets, backend.tagger), out)
        new.replace(file)


if __name__ == "__main__":
    # By the name that a later start finds its classes by.
    sys.modules["embedded_s3"] = sys.modules["__main__"]
    SortedKeyStore.__module__ = _restore.__module__ = "embedded_s3"
    run(Path(sys.argv[1]), sys.argv[2:])
