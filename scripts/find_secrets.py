#!/usr/bin/env python3
"""Find secrets where they should not be: `find_secrets.py SECRETS --logs PATH... --state PATH...`.

SECRETS is a JSON file, name to secret. In logs (and diffs, and caches of facts) no secret may be. A
file of state may have one where it is its owner's alone: 0600, in a folder that is 0700. PATHs are
files or folders. Prints a line a find, without the secret, and then exits 1.
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
    """The secret as it is, as JSON and addresses spell it, and inside of base64."""
    raw = secret.encode()
    found = {raw, json.dumps(secret)[1:-1].encode(), quote(secret, safe="").encode()}
    for before in range(3):
        # What is spelled by the secret's bits alone, wherever in the text it begins.
        coded = base64.b64encode(bytes(before) + raw).rstrip(b"=")
        found.add(coded[(0, 2, 3)[before] : len(coded) - bool((before + len(raw)) % 3)])
    return found


def files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            sys.exit(f"There is no {path}: name what there is to look at.")
        yield from (found for found in [path, *path.rglob("*")] if found.is_file())


def private(path: Path) -> bool:
    """Whether only its owner can read a file, or change what is in its folder."""
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)]
    return not modes[0] & 0o077 and modes[1] == 0o700


def main() -> None:
    parser = argparse.ArgumentParser(description="Find secrets where they should not be.")
    parser.add_argument("secrets", type=Path)
    parser.add_argument("--logs", type=Path, nargs="+", default=[])
    parser.add_argument("--state", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    secrets = json.loads(arguments.secrets.read_text())
    if short := [name for name, secret in secrets.items() if len(secret) < 8]:
        sys.exit(f"{', '.join(short)}: a secret of less than 8 characters is found everywhere.")
    known = {name: spellings(secret) for name, secret in secrets.items()}
    finds = 0
    for paths, allowed in ((arguments.logs, lambda _: False), (arguments.state, private)):
        for path in files(paths):
            for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
                for name, spelled in known.items():
                    if any(one in line for one in spelled) and not allowed(path):
                        finds += 1
                        print(f"{path}:{number}: has the secret {name}")
    sys.exit(1 if finds else 0)


if __name__ == "__main__":
    main()
