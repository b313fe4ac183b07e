"""Check that a machine meets the prerequisites of `make demo`, before anything is installed.

Exits with a sentence about what is missing. Runs on any Python 3, so that it can report one that is
too old.
"""

import shutil
import sys
from pathlib import Path

OLDEST = (3, 11)
INSTALLED = 1500 * 1000 * 1000  # bytes: .venv and pip's temporary files
RUNNING = 1000 * 1000 * 1000  # the same as in vars/main/checks.yml of the role facefleet

root = Path(__file__).resolve().parent.parent

if sys.version_info < OLDEST:
    sys.exit(
        f"{sys.executable} is Python {sys.version.split()[0]}, but 3.11 or newer is needed: "
        "install a newer one and pass it, as in `make demo PYTHON=python3.11`."
    )

try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit(
        "This Python has no venv module: install it, on Debian and Ubuntu with "
        "`sudo apt install python3-venv`."
    )

needed = RUNNING if (root / ".venv/bin/facefleet").exists() else INSTALLED
free = shutil.disk_usage(root).free
if free < needed:
    sys.exit(
        f"The disk of {root} has only {free / 1e9:.1f} GB free, "
        f"but {needed / 1e9:.1f} GB are needed: free some space."
    )
