"""The system's packages that `make test` needs: requirements/test.apt.

As root on Debian or Ubuntu, installs what is missing. For anybody else, names the one line that
does, and what is left out without it; fails where nothing runs without it.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

LIST = Path(__file__).resolve().parent.parent / "requirements/test.apt"
# What a package brings: it may also be there by another way than apt.
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "chromium-driver": ("chromedriver",),
    "docker.io": ("docker",),
    "make": ("make",),
    "mosquitto": ("mosquitto",),
    "mosquitto-clients": ("mosquitto_sub",),
    "openssh-client": ("ssh-keygen",),
    "python3": ("python3",),
}


def packages() -> dict[str, str]:
    """Package to what is left out without it; empty where nothing runs without it."""
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return {name.strip(): what.strip() for name, _, what in (line.partition("#") for line in lines)}


def is_there(package: str) -> bool:
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    if any(shutil.which(program, path=path) for program in PROGRAMS.get(package, ())):
        return True
    if package == "python3-venv" and find_spec("venv") and find_spec("ensurepip"):
        return True
    if not shutil.which("dpkg-query"):
        return package not in PROGRAMS  # nothing tells
    asked = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return told.stdout == "installed"


def install(missing: list[str]) -> None:
    print(f"Installing {', '.join(missing)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-qy", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{done.stdout}`{' '.join(command)}` fails: see above.")


def main() -> None:
    wanted = packages()
    missing = [package for package in wanted if not is_there(package)]
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install(missing)
        return
    print(f"Packages are missing: sudo apt-get install {' '.join(missing)}", flush=True)
    for what in dict.fromkeys(wanted[package] for package in missing if wanted[package]):
        print(f"Left out without them: {what}.", flush=True)
    if not all(wanted[package] for package in missing):
        sys.exit("The suite does not run without them: install them, and run this again.")


if __name__ == "__main__":
    main()
