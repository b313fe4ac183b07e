#!/usr/bin/env python3
"""Check all pinned Python dependencies for known vulnerabilities: `make audit-deps`.

Options are passed to pip-audit; with `--dry-run` it only reads the pins and needs no network.
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
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        sys.exit(f"pip-audit failed ({reason}): run this on a machine with internet access.")
    print(text, end="")
    print(done.stderr, end="", file=sys.stderr)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
