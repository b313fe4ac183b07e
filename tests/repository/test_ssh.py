"""A host that has gone is noticed."""

import configparser
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_ssh_gives_a_silent_host_up_after_a_minute():
    config = configparser.ConfigParser()
    config.read(ROOT / "ansible.cfg")
    arguments = shlex.split(config["ssh_connection"]["ssh_args"])
    command = ["ssh", "-G", "-F", "none", *arguments, "jetson-1"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    settings = dict(line.split(maxsplit=1) for line in told.lower().splitlines() if " " in line)
    interval, count = int(settings["serveraliveinterval"]), int(settings["serveralivecountmax"])
    assert 0 < interval * count <= 60
    # As before: connections are shared, which makes a run several times as fast.
    assert settings["controlmaster"] == "auto"
    assert settings["controlpersist"] == "60"


def test_the_documentation_says_the_same():
    [line] = [
        line for line in (ROOT / "ansible.cfg").read_text().splitlines() if "ServerAlive" in line
    ]
    assert line in (ROOT / "docs/operations.md").read_text()
