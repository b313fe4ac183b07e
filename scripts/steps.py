"""Run the long parts of `make demo`, and print a line with result and duration for each step.

`steps.py pip NAME REQUIREMENTS` installs the packages that a file pins. `steps.py playbook
PLAYBOOK` runs a playbook; each play with a new name is a step. All output goes to a log, whose name
is printed if a step fails. Requires only Python.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path.cwd()  # the checkout: make's working directory
PLAY = re.compile(r"PLAY \[(.+)\] \*+")
TAIL = 15  # last lines of the log to print if no reason for a failure is known
INTERRUPTED = 99  # ansible-playbook's exit code


class Steps:
    """Prints a line per finished step and, on a terminal, the progress of the current step."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        coded = (sys.stdout.encoding or "").lower().replace("-", "")
        self._marks = ("✓", "✗") if coded == "utf8" else ("ok", "FAILED")
        self._name: str | None = None
        self._began = 0.0

    def begin(self, name: str) -> None:
        """End the previous step and begin a new one."""
        self.end()
        self._name, self._began = name, time.monotonic()
        self.note("")

    def note(self, progress: str) -> None:
        """Show the progress of the current step, on a terminal only."""
        if self._live and self._name is not None:
            width = shutil.get_terminal_size().columns - 1
            print("\r\033[K" + f"… {self._name}  {progress}"[:width], end="", flush=True)

    def end(self, *, good: bool = True) -> None:
        if self._name is None:
            return
        mark = self._marks[0 if good else 1]
        start = "\r\033[K" if self._live else ""
        seconds = time.monotonic() - self._began
        print(f"{start}{mark} {self._name}  {seconds:.0f} s", flush=True)
        self._name = None


def follow(command: list[str], log: Path) -> Iterator[str]:
    """Run a command and yield the lines of its output, which are also written to `log`.

    Raises CalledProcessError if the command fails.
    """
    try:
        copy = log.open("w")
    except OSError as error:
        sys.exit(f"Cannot write {log.relative_to(ROOT)}: {error.strerror}.")
    with copy:
        log.chmod(0o600)
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        for line in process.stdout:
            copy.write(line)
            copy.flush()
            yield line.rstrip("\n")
    if code := process.wait():
        raise subprocess.CalledProcessError(code, command)


def pip(name: str, file: str) -> None:
    """Install the packages that a file pins, and show the progress."""
    requirements = Path(file)
    steps, log = Steps(), ROOT / ".venv/install.log"
    pinned = len(re.findall(r"^[\w.-]+==", requirements.read_text(), re.MULTILINE))
    steps.begin(name)
    command = [str(ROOT / ".venv/bin/pip"), "install", "--progress-bar=off", "--require-hashes"]
    fetched = 0
    try:
        for line in follow([*command, "-r", file], log):
            fetched += line.startswith("Collecting ")
            installing = line.startswith("Installing collected packages")
            steps.note("unpacking" if installing else f"{fetched} of {pinned} packages")
    except subprocess.CalledProcessError:
        steps.end(good=False)
        errors = [line for line in log.read_text().splitlines() if line.startswith("ERROR: ")]
        fail("\n".join(errors) or tail(log), log)
    steps.end()


def playbook(path: str) -> None:
    """Run a playbook on the local inventory, with one step per play."""
    source = os.environ.get("SOURCE")
    if source and Path(source).exists():
        os.environ["SOURCE"] = str(Path(source).resolve())  # services have other working folders
    if os.environ.get("V"):
        sys.exit(subprocess.run(["ansible-playbook", path], check=False).returncode)
    state = ROOT / ".facefleet"
    steps, log, reasons = Steps(), state / "demo.log", state / "reasons.txt"
    try:
        state.mkdir(mode=0o700, exist_ok=True)
        reasons.unlink(missing_ok=True)
    except OSError as error:
        sys.exit(f"Cannot write into .facefleet: {error.strerror}.")
    os.environ |= {
        "ANSIBLE_DISPLAY_OK_HOSTS": "true",  # the log has every task
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parents[1] / "plugins/callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "reasons",
        "REASONS_FILE": str(reasons),
    }
    steps.begin("Read the inventory")
    seen = set()
    try:
        for line in follow(["ansible-playbook", path], log):
            play = PLAY.match(line)
            if play and play[1] not in seen:  # every playbook of a run repeats some plays
                seen.add(play[1])
                steps.begin(play[1])
            elif task := re.match(r"TASK \[(.+)\] \*+", line):
                steps.note(task[1])
    except subprocess.CalledProcessError as error:
        steps.end(good=False)
        if error.returncode == INTERRUPTED:
            interrupted()
        why = reasons.read_text() if reasons.exists() else ""  # it may not have come so far
        fail(why or tail(log), log)
    steps.end()


def tail(log: Path) -> str:
    return "\n".join(log.read_text().splitlines()[-TAIL:])


def fail(why: str, log: Path) -> None:
    print(why, file=sys.stderr)
    sys.exit(f"The whole log: {log.relative_to(ROOT)} (V=1 shows the output as it is written)")


def interrupted() -> None:
    sys.exit("\nInterrupted. `make demo` resumes; `make stop` ends every process that it started.")


if __name__ == "__main__":
    try:
        {"pip": pip, "playbook": playbook}[sys.argv[1]](*sys.argv[2:])
    except KeyboardInterrupt:
        interrupted()
