"""The checkout as a collection: built, installed into a fresh folder, and played from there."""

import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NAME = "facefleet.facefleet"
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
REQUIRED = (
    *("LICENSE", "README.md", "meta/runtime.yml", "plugins/*.py"),
    *("playbooks/*.yml", "inventories/example/*.yml", "inventories/local/*.yml"),
    *(f"roles/*/{part}/*" for part in ("defaults", "files", "meta", "tasks", "templates", "vars")),
    *("app/Dockerfile", "app/pyproject.toml", "app/locks/*", "app/src/*", "app/requirements.txt"),
    *("scripts/embedded_s3/*.py", "scripts/stop.py"),
)
# In a network of its own, whose ports no other fleet has.
ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
# What an owner replaces in the example.
PLACEHOLDERS = {
    "198.51.100.": "10.1.0.",
    "203.0.113.": "10.1.1.",
    "192.0.2.": "10.1.2.",
    "example-facefleet-faces": "faces-of-mine",
    "usb-example-camera": "usb-my-camera",
}


def run(*command, cwd, **more):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    clean |= {"PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_CONFIG": f"{cwd}/ansible.cfg", **more}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    (folder / "ansible.cfg").touch()  # and not that of whoever runs this
    run("ansible-galaxy", "collection", "build", ROOT, "--output-path", folder, cwd=folder)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def installed(archive):
    """A folder with the collection, and none of the checkout's settings."""
    folder = archive.parent / "collections"
    command = ("ansible-galaxy", "collection", "install", archive, "-p", folder, "--offline")
    run(*command, cwd=archive.parent)
    return folder / "ansible_collections" / NAME.replace(".", "/")


def test_the_file_has_what_is_committed_and_is_needed_and_no_more(archive):
    listed = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True)
    committed = {path for path in listed.splitlines() if (ROOT / path).is_file()}
    with tarfile.open(archive) as tar:
        built = {member.name for member in tar if not member.isdir()}
    assert built - {"FILES.json", "MANIFEST.json"} - committed == set()
    for pattern in REQUIRED:
        needed = set(fnmatch.filter(committed, pattern))
        needed -= {path for path in needed if "/tests/" in path or "/." in path}
        assert needed, pattern
        assert needed - built == set()
    assert not [path for path in built if path.startswith(("benchmarks/", "molecule/", "tests/"))]


@pytest.mark.parametrize(
    "path",
    [
        *(".venv", ".facefleet", ".ansible", "inventories/.pki", "app/.pytest_cache"),
        *(f"inventories/{name}" for name in ("mine", "e", "examples", "local-2", "exam", "lab")),
        *(f"inventories/{name}" for name in ("production", "loc", "edge", "london", "exotic")),
    ],
)
def test_what_a_checkout_collects_is_left_out(path):
    assert any(fnmatch.fnmatch(path, pattern) for pattern in GALAXY["build_ignore"])


def test_the_same_versions_are_required_everywhere():
    required = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    assert {item["name"]: item["version"] for item in required} == GALAXY["dependencies"]
    assert f'\nversion = "{GALAXY["version"]}"\n' in (ROOT / "app/pyproject.toml").read_text()


def test_images_are_built_from_the_same_files(installed):
    def tag(root):
        context = root / "roles/app_image/files/context.py"
        return run(sys.executable, context, "tag", root / "app", "debian", cwd=root)

    assert tag(installed) == tag(ROOT)


def test_every_module_is_documented(installed):
    path = {"ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2])}
    names = [f"{NAME}.{file.stem}" for file in (installed / "plugins/modules").glob("*.py")]
    shown = json.loads(run("ansible-doc", "--json", *names, cwd=installed.parents[3], **path))
    assert len(names) > 10
    assert {name for name in names if not shown[name]["examples"]} == set()


def play(installed, playbook, inventory, *more):
    """Run a playbook of the collection, from a folder that has nothing to do with it."""
    return run(
        *(*ALONE, "ansible-playbook", f"{NAME}.{playbook}", f"--inventory={inventory}", *more),
        cwd=installed.parents[3],
        ANSIBLE_COLLECTIONS_PATH=str(installed.parents[2]),
    )


def copied(installed, name):
    """An inventory of the collection, as an owner copies it."""
    return Path(shutil.copytree(installed / "inventories" / name, installed.parents[3] / name))


@pytest.fixture(scope="module")
def dry_run(installed):
    """A dry run of every play that the local runtime has, with the state beside the inventory."""
    return play(installed, "site", copied(installed, "local"), "--check")


def test_the_local_inventory_can_be_set_up(installed, dry_run):
    assert "failed=0" in dry_run
    assert "failed=1" not in dry_run
    assert not (installed / ".facefleet").exists()


def test_no_role_checks_a_host_again_that_the_preflight_has_checked(dry_run):
    """Each task of a preflight has one heading, under which all hosts are."""
    assert dry_run.count("pki : Find openssl on the host]") == 1
    assert dry_run.count("facefleet : Find the devices and files of the cameras]") == 1


def test_the_example_has_usable_settings(installed):
    inventory = copied(installed, "example")
    for path in inventory.rglob("*.yml"):
        text = path.read_text()
        for placeholder, mine in PLACEHOLDERS.items():
            text = text.replace(placeholder, mine)
        path.write_text(text)
    play(installed, "site", inventory, "--syntax-check")
    password = "--extra-vars=facefleet_pki_password=secret"
    assert "failed=0" in play(installed, "settings", inventory, "--check", password)
