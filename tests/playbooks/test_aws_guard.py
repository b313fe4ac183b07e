"""A fleet of local processes never reaches the real AWS, whatever the shell and the home have."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from threading import Thread

import boto3
import pytest

from support.playbooks import REGION, ROOT, play

AWS_YML = "playbooks/aws.yml"
LOCAL = ROOT / "inventories/local"
S3_PORT = 31983
TESTING = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
SURE = "must not use AWS"


@contextmanager
def recorder():
    """A proxy that takes note of every connection, and answers none."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def note():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    seen.append(connection.recv(200))

        Thread(target=note, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def outside(tmp_path):
    """Somebody's shell: keys, a profile that asks AWS for a role, and a proxy to see each call."""
    folder = tmp_path / "home/.aws"
    folder.mkdir(parents=True)
    profile = (
        "role_arn = arn:aws:iam::111122223333:role/r\nsource_profile = keys\nregion = eu-west-1\n"
    )
    keys = "aws_access_key_id = AKIAREALREALREALREAL\naws_secret_access_key = real\n"
    (folder / "config").write_text(f"[default]\n{profile}[profile keys]\n{keys}")
    with recorder() as (proxy, seen):
        yield (
            {
                "HOME": str(tmp_path / "home"),
                "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
                "AWS_SECRET_ACCESS_KEY": "real",
                "AWS_DEFAULT_REGION": "us-east-1",
                **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy),
                "NO_PROXY": "127.0.0.1",
                "no_proxy": "127.0.0.1",
            },
            seen,
        )


@pytest.fixture
def state(tmp_path):
    """The folder of what the local inventory starts, which is ended."""
    yield tmp_path / "state"
    stop(tmp_path / "state")


def stop(state):
    subprocess.run([sys.executable, ROOT / "scripts/stop.py", state], check=True)


def local(state, **more):
    """The local inventory, on ports and in a folder of its own."""
    ports = {
        "facefleet_s3_port": S3_PORT,
        "facefleet_broker_nodeport": 31984,
        "facefleet_processor_port": 31985,
        "facefleet_gallery_port": 31986,
    }
    return ["-e", json.dumps({"facefleet_state_dir": str(state), **ports, **more})]


# A host of the cloud to what its inventory says, and the sentence for it.
BAD_HOSTS = {
    "no-endpoint": ({"facefleet_s3_endpoint": ""}, "facefleet_s3_endpoint is empty"),
    "no-environment": (
        {"facefleet_aws_environment": {}},
        "AWS_ENDPOINT_URL is not set in facefleet_aws_environment: set it to facefleet_s3_endpoint",
    ),
    "the-real-address": (
        {"facefleet_s3_endpoint": "https://s3.eu-central-1.amazonaws.com"},
        "is an address of AWS: set it to the address of your own S3",
    ),
}
# Each of those that are refused: tests/roles/test_aws_inputs.py.
BAD_SHELL = {"AWS_PROFILE": "true", "AWS_ENDPOINT_URL_S3": "true"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("playbook", [AWS_YML, "playbooks/cloud.yml", "playbooks/teardown_aws.yml"])
def test_local_fleet_that_could_reach_aws_is_refused(state, outside, playbook, tmp_path):
    environment, seen = outside
    shutil.copytree(LOCAL / "group_vars", tmp_path / "inventory/group_vars")
    hosts = {host: variables for host, (variables, _) in BAD_HOSTS.items()}
    groups = {"cloud": {"hosts": hosts}}
    (tmp_path / "inventory/hosts.yml").write_text(json.dumps({"all": {"children": groups}}))
    ran = play(playbook, tmp_path / "inventory", *local(state), **environment, **BAD_SHELL)
    assert ran.code != 0
    for host, (_, sentence) in BAD_HOSTS.items():
        said = ran.output.partition(f"fatal: [{host}]: FAILED!")[2].partition("fatal: [")[0]
        said = " ".join(said.split())
        assert sentence in said
        assert (
            "The environment variable AWS_PROFILE, AWS_ENDPOINT_URL_S3 could direct this run to AWS"
            in said
        )
        assert SURE in said
    assert seen == []
    assert not state.exists()


@pytest.mark.timeout(600)
def test_credentials_of_the_shell_and_the_home_are_not_used(state, outside):
    environment, seen = outside
    ran = play(AWS_YML, LOCAL, *local(state), **environment)
    assert ran.code == 0, ran.output
    assert ran.changed["cloud-1"] > 0
    with closing(sqlite3.connect(state / "cloud-1/s3.sqlite")) as kept:
        assert kept.execute("SELECT name FROM buckets").fetchall() == [("facefleet-faces",)]
    assert seen == []

    # It knows its own bucket again.
    s3 = boto3.client("s3", REGION, endpoint_url=f"http://127.0.0.1:{S3_PORT}", **TESTING)
    s3.put_object(Bucket="facefleet-faces", Key="faces/a", Body=b"face")
    stop(state)
    again = play(AWS_YML, LOCAL, *local(state), **environment)
    assert again.code == 0, again.output
    assert s3.get_object(Bucket="facefleet-faces", Key="faces/a")["Body"].read() == b"face"
