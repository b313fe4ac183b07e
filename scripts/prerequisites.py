"""What `make demo` needs of a machine, before anything is installed.

Exits with a sentence for what is missing. Runs on any Python 3, to be able to say that one is
too old.
"""

import shutil
import sys
from pathlib import Path

OLDEST = (3, 11)
INSTALLED = 1500 * 1000 * 1000  # bytes: .venv and pip's temporary files
RUNNING = 1000 * 1000 * 1000  # as vars/main/checks.yml of the role facefleet

root = Path(__file__).resolve().parent.parent

if sys.version_info < OLDEST:
    sys.exit(
        f"{sys.executable} is Python {sys.version.split()[0]}, and 3.11 or newer is needed: "
        "install one and name it, as in `make demo PYTHON=python3.11`."
    )

try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit(
        "This Python has no venv module: install it, on Debian and Ubuntu by "
        "`sudo apt install python3-venv`."
    )

needed = RUNNING if (root / ".venv/bin/facefleet").exists() else INSTALLED
free = shutil.disk_usage(root).free
if free < needed:
    sys.exit(
        f"Only {free / 1e9:.1f} GB of disk are free at {root}, "
        f"and {needed / 1e9:.1f} GB are needed: free some."
    )
