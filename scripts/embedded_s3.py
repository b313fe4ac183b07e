#!/usr/bin/env python3
"""moto's S3, whose buckets outlive a stop: `embedded_s3.py FILE [moto_server's options]`.

moto has them, and their tags, in memory. They are written to FILE when SIGTERM comes, and read from
it at the start; a kill loses them.
"""

import os
import pickle
import sys
from pathlib import Path

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import main


def run(file: Path, options: list[str]) -> None:
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    if file.exists():
        backend.buckets, backend.tagger = pickle.loads(file.read_bytes())
    try:
        main(options)
    finally:
        new = file.with_suffix(".new")
        with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            pickle.dump((backend.buckets, backend.tagger), out)
        new.replace(file)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
