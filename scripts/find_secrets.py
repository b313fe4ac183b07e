#!/usr/bin/env python3
"""Find leaked secrets: `find_secrets.py SECRETS --logs PATH... --state PATH...`.

SECRETS is a JSON file with secrets by name. Logs (and diffs, and fact caches) must not contain any
secret. State files may contain secrets if only their owner can access them: mode 0600, in a folder
with mode 0700. PATHs are files or folders. Prints one line per finding, without the secret, and
exits with 1 if there are any.
"""

import argparse
import base64
import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote


def spellings(secret: str) -> set[bytes]:
    """Return the secret verbatim, as encoded in JSON and in URLs, and as part of base64 text."""
    raw = secret.encode()
    found = {raw, json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode()}
    for before in range(3):
        # The characters that depend only on the secret's bits, at each of the three alignments.
        coded = base64.b64encode(bytes(before) + raw).rstrip(b"=")
        found.add(coded[(0, 2, 3)[before] : len(coded) - bool((before + len(raw)) % 3)])
    return found


def files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            sys.exit(f"{path} does not exist: give files or folders to search.")
        yield from (found for found in [path, *path.rglob("*")] if found.is_file())


def private(path: Path) -> bool:
    """Return whether only its owner can read a file and access its folder."""
    modes = [stat.S_IMODE(entry.stat().st_mode) for entry in (path, path.parent)]
    return not modes[0] & 0o077 and modes[1] == 0o700


def main() -> None:
    parser = argparse.ArgumentParser(description="Find leaked secrets.")
    parser.add_argument("secrets", type=Path)
    parser.add_argument("--logs", type=Path, nargs="+", default=[])
    parser.add_argument("--state", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    secrets = json.loads(arguments.secrets.read_text())
    if short := [name for name, secret in secrets.items() if len(secret) < 8]:
        sys.exit(
            f"{', '.join(short)}: secrets of less than 8 characters match by accident: use longer "
            "ones."
        )
    known = {name: spellings(secret) for name, secret in secrets.items()}
    finds = 0
    for paths, allowed in ((arguments.logs, lambda _: False), (arguments.state, private)):
        for path in files(paths):
            for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
                for name, spelled in known.items():
                    if any(text in line for text in spelled) and not allowed(path):
                        finds += 1
                        print(f"{path}:{number}: contains the secret {name}")
    sys.exit(1 if finds else 0)


if __name__ == "__main__":
    main()
