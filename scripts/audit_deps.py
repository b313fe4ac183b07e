#!/usr/bin/env python3
"""Look every pinned Python dependency up among the known vulnerabilities: `make audit-deps`.

Options go to pip-audit; with `--dry-run` it reads all that is pinned, and asks nobody.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINNED = [
    *sorted((ROOT / "requirements").glob("*.txt")),
    *sorted((ROOT / "app/locks").glob("*.txt")),
    ROOT / "app/requirements.txt",
]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report")
        done = subprocess.run(
            [
                *(Path(sys.executable).with_name("pip-audit"), "--strict", "--disable-pip"),
                *(
                    "--require-hashes",
                    "--progress-spinner=off",
                    f"--output={report}",
                    *sys.argv[1:],
                ),
                *(f"--requirement={path}" for path in PINNED),
            ],
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        text = report.read_text() if report.exists() else ""
    if done.returncode and not text:
        why = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        sys.exit(f"Not everything could be looked up: run this where the internet answers. ({why})")
    print(text, end="")
    print(done.stderr, end="", file=sys.stderr)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
