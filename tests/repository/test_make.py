"""What `make` gives to what it runs."""

import os
import subprocess

import pytest

from support.rig import ROOT

LOOPBACK = "localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("shell", "given"),
    [
        ({}, LOOPBACK),
        ({"NO_PROXY": "intranet.example.com"}, f"intranet.example.com,{LOOPBACK}"),
        ({"no_proxy": "a.example.com", "NO_PROXY": "b"}, f"a.example.com,{LOOPBACK}"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_a_proxy_of_the_shell_is_not_for_this_machine(shell: dict[str, str], given: str) -> None:
    others = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    shown = subprocess.run(
        ["make", "--silent", "--eval", 'show:; @echo "$$no_proxy"', "show"],
        cwd=ROOT,
        env={**others, **shell},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == given
