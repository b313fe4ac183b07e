"""The checkout as a collection: built, and installed into a fresh folder."""

import fnmatch
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
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
