"""What `make demo` needs of a machine, before anything is installed.

Exits with a sentence for what is missing. Runs on any Python 3, to be able to say that one is
too old.
"""

import os
import shutil
import sys

OLDEST = (3, 11)
INSTALLED = 1500 * 1000 * 1000  # bytes: .venv and pip's temporary files
RUNNING = 1000 * 1000 * 1000

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

if sys.version_info < OLDEST:
    sys.exit(
        "%s is Python %d.%d, and 3.11 or newer is needed: install one and name it, as in "
        "`make demo PYTHON=python3.11`." % ((sys.executable,) + sys.version_info[:2])
    )

try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit(
        "This Python has no venv module: install it, on Debian and Ubuntu by "
        "`sudo apt install python3-venv`."
    )

needed = RUNNING if os.path.exists(os.path.join(root, ".venv", "bin", "facefleet")) else INSTALLED
free = shutil.disk_usage(root).free
if free < needed:
    sys.exit(
        "Only %.1f GB of disk are free at %s, and %.1f GB are needed: free some."
        % (free / 1e9, root, needed / 1e9)
    )
