"""Runs of playbooks, and the AWS that they are tried on."""

import os
import re
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = Path(sys.executable).parent / "ansible-playbook"
REGION = "eu-central-1"
# Of a worker of pytest-xdist, gw0 and gw1, or of none.
PORT = 31981 + 6 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
SSH_PORT = PORT + 1
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def shell(**more: str) -> dict[str, str]:
    """The environment of somebody who has nothing of AWS's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**clean, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **more}


@dataclass(frozen=True)
class Ran:
    """A finished playbook."""

    output: str
    code: int

    @property
    def changed(self) -> dict[str, int]:
        """Host to the count of the recap."""
        return {
            host: int(count)
            for host, count in re.findall(r"^(\S+) +: .*changed=(\d+)", self.output, re.M)
        }

    @property
    def flat(self) -> str:
        """The output without its line breaks."""
        return re.sub(r"\s+", " ", self.output)


def sentences(ran: Ran) -> list[str]:
    """Those of a report of problems, as the run shows them."""
    text = ran.output.rpartition("    msg: |-\n")[2].partition("\nPLAY RECAP")[0]
    return [line.strip() for line in text.splitlines() if line.strip()]


def play(playbook: Path | str, inventory: Path | str, *options: str, **environment: str) -> Ran:
    done = subprocess.run(
        [ANSIBLE, ROOT / playbook, "--inventory", inventory, *options],
        env=shell(**environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return Ran(done.stdout, done.returncode)


class Aws:
    """moto's server."""

    endpoint = f"http://127.0.0.1:{PORT}"

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_REGION": REGION, "AWS_ENDPOINT_URL": self.endpoint, **KEYS}

    def client(self, service: str, credentials: dict | None = None, region: str = REGION):
        """By AWS's names of the credentials; without them, as an administrator."""
        credentials = credentials or {"AccessKeyId": "testing", "SecretAccessKey": "testing"}
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
        )

    def assume(self, role: str) -> dict:
        return self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]

    def enforce(self, on: bool) -> None:
        """Whether it asks IAM whether a call is allowed."""
        count = b"0" if on else b"inf"
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/reset-auth", count, {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
