"""The command as a person runs it."""

import os
import subprocess

from support.rig import BIN


def facefleet(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end. Settings are FACEFLEET_* without that; AWS_* go by their own names."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FACEFLEET_", "AWS_"))}
    for name, value in settings.items():
        environment[name if name.startswith("AWS_") else f"FACEFLEET_{name}"] = str(value)
    return subprocess.run(
        [str(BIN / "facefleet"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def told(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The sentences on stderr; lines that are neither these nor logs are a failure."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert all(line.startswith("facefleet: ") for line in lines), result.stderr
    return [line.removeprefix("facefleet: ") for line in lines]
