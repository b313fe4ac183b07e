#!/usr/bin/env python3
"""The demo's S3: `embedded_s3 FILE --port PORT`, on loopback, with all buckets in one SQLite file.

Every acknowledged object survives kills and power cuts. The alternatives fit less well: moto keeps
objects in memory, and SeaweedFS (from PyPI) opens nine ports and takes 230 MB of memory.
"""

import argparse
import os
from contextlib import closing
from pathlib import Path

import uvicorn
from protocol import application
from storage import Storage

HOST = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="embedded_s3", description="S3 in one file, on 127.0.0.1")
    parser.add_argument("file", type=Path, help="the SQLite file; created if missing")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    os.umask(0o077)  # keep the faces private
    with closing(Storage(arguments.file)) as storage:
        uvicorn.run(
            application(storage, hosts=[HOST, "localhost"]),
            host=HOST,
            port=arguments.port,
            log_level="warning",
            timeout_graceful_shutdown=5,
        )


if __name__ == "__main__":
    main()
