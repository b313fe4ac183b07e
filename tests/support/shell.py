"""The command as a person runs it."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_PATIENCE = 60  # seconds
# Each command is a process of its own, forked from one that has imported what commands need:
# imports take a second, and most commands much less.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        "pytest",  # the main module, which each process imports
        *(f"facefleet.tools.{tool}" for tool in ("audit", "erase", "outbox", "status", "verify")),
        "facefleet.cli",
    ]
)


def facefleet(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end. Settings are FACEFLEET_* without that; AWS_* go by their own names."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FACEFLEET_", "AWS_"))}
    for name, value in settings.items():
        environment[name if name.startswith("AWS_") else f"FACEFLEET_{name}"] = str(value)
    command = ["facefleet", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        said, told = Path(folder, "stdout"), Path(folder, "stderr")
        process = _FORKED.Process(target=_run, args=(command, environment, said, told))
        process.start()
        process.join(_PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(command, _PATIENCE, said.read_text(), told.read_text())
        return subprocess.CompletedProcess(
            command, process.exitcode, said.read_text(), told.read_text()
        )


def _run(command: list[str], environment: dict[str, str], said: Path, told: Path) -> None:
    for number, path in enumerate((Path(os.devnull), said, told)):
        flags = os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY
        handle = os.open(path, flags)
        os.dup2(handle, number)
        os.close(handle)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = command
    from facefleet.cli import main

    main()


def told(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The sentences on stderr; lines that are neither these nor logs are a failure."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert all(line.startswith("facefleet: ") for line in lines), result.stderr
    return [line.removeprefix("facefleet: ") for line in lines]
