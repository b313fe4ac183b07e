"""What Docker builds the images from, the same on every machine.

`context.py tag APP BASE` prints 12 hex digits of it; `context.py tar APP FILE` writes it.
Neither a file's time nor what a run leaves behind (__pycache__ and the like) counts.
"""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

PARTS = ("Dockerfile", "pyproject.toml", "locks", "src")  # as in app/.dockerignore


def files(app: Path) -> list[tuple[str, bytes]]:
    """Path in the context and content of each file, in order."""
    found = [
        path
        for part in PARTS
        for path in [app / part, *(app / part).rglob("*")]
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    ]
    if missing := [part for part in PARTS if not (app / part).exists()]:
        sys.exit(f"{app} has no {', '.join(missing)}: it is not the folder app/ of a checkout.")
    return sorted((path.relative_to(app).as_posix(), path.read_bytes()) for path in found)


def tag(app: Path, base: str) -> str:
    digest = hashlib.sha256(base.encode())
    for name, content in files(app):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def write(app: Path, file: Path) -> None:
    """Write the files as a tar, plain, so that Docker takes it from stdin."""
    with tarfile.open(file, "w") as tar:
        for name, content in files(app):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    command, app, argument = sys.argv[1:]
    if command == "tag":
        print(tag(Path(app), argument))
    else:
        write(Path(app), Path(argument))
