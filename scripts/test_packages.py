"""Install or report the system packages that `make test` needs (requirements/test.apt).

As root on Debian or Ubuntu, installs missing packages. Otherwise prints the command that installs
them, and which tests are skipped without them. Fails if a package is missing that all tests need.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

LIST = Path(__file__).resolve().parent.parent / "requirements/test.apt"
# Programs of a package, which may also have been installed without apt.
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "chromium-driver": ("chromedriver",),
    "docker.io": ("docker",),
    "iproute2": ("ip",),
    "make": ("make",),
    "mosquitto": ("mosquitto",),
    "mosquitto-clients": ("mosquitto_sub",),
    "openssh-client": ("ssh-keygen",),
    "python3": ("python3",),
}


def packages() -> dict[str, str]:
    """Return, by package, which tests are skipped without it; empty if all tests need it."""
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return {
        name.strip(): tests.strip() for name, _, tests in (line.partition("#") for line in lines)
    }


def is_installed(package: str) -> bool:
    path = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
    if any(shutil.which(program, path=path) for program in PROGRAMS.get(package, ())):
        return True
    if package == "python3-venv" and find_spec("venv") and find_spec("ensurepip"):
        return True
    if not shutil.which("dpkg-query"):
        return package not in PROGRAMS  # unknown: assume that it is installed
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    status = subprocess.run(query, capture_output=True, text=True, check=False)
    return status.stdout == "installed"


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
            sys.exit(f"{done.stdout}`{' '.join(command)}` failed: see the output above.")


def main() -> None:
    wanted = packages()
    missing = [package for package in wanted if not is_installed(package)]
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install(missing)
        return
    print(f"Packages are missing: sudo apt-get install {' '.join(missing)}", flush=True)
    for tests in dict.fromkeys(wanted[package] for package in missing if wanted[package]):
        print(f"Skipped without them: {tests}.", flush=True)
    if not all(wanted[package] for package in missing):
        sys.exit("The tests cannot run without these packages: install them and run this again.")


if __name__ == "__main__":
    main()
