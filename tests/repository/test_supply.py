"""What comes from outside is what was chosen: by hash, by checksum, or by digest."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from support.playbook_tasks import tasks

ROOT = Path(__file__).parents[2]
LOCKS = [
    *sorted((ROOT / "requirements").glob("*.txt")),
    *sorted((ROOT / "app/locks").glob("*.txt")),
    ROOT / "app/requirements.txt",
]
YAML = [
    path
    for folder in ("roles", "playbooks", "molecule")
    for path in sorted((ROOT / folder).rglob("*.yml"))
]
DOWNLOADS = {
    *("get_url", "ansible.builtin.get_url", "uri", "ansible.builtin.uri"),
    *("unarchive", "ansible.builtin.unarchive", "apt", "ansible.builtin.apt"),
}
# By file: why what is downloaded there needs no checksum.
UNCHECKED = {
    "molecule/k3s/prepare.yml": "it is served to the role, which checks it",
    "roles/docker/tasks/repository.yml": "it is a key, and its fingerprint is checked",
}


def downloads(path):
    """(module, its arguments) of each task that fetches a file from an address."""
    for task in tasks(yaml.safe_load(path.read_text())):
        for module in DOWNLOADS & set(task):
            arguments = task[module] if isinstance(task[module], dict) else {}
            source = str(arguments.get("src", arguments.get("deb", "")))
            saves = module.endswith("get_url") or (module.endswith("uri") and "dest" in arguments)
            if saves or "://" in source or "_url" in source:
                yield module, arguments


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_python_dependency_is_pinned_with_hashes(lock):
    text = lock.read_text().replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and line.strip()[0] != "#"]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}\b", entry), entry


def test_what_pip_installs_in_an_image_or_by_make_must_have_hashes():
    dockerfile = (ROOT / "app/Dockerfile").read_text()
    assert "PIP_REQUIRE_HASHES=1" in dockerfile
    # Only our own wheel, built there, has none.
    free = [line for line in dockerfile.splitlines() if "PIP_REQUIRE_HASHES=0" in line]
    assert all("/app" in line or "/wheels/*.whl" in line for line in free)
    installs = re.findall(r"pip install (.*)", (ROOT / "Makefile").read_text())
    assert all(
        "--require-hashes" in line or "--no-deps" in line or line.endswith(" uv")
        for line in installs
    )


def test_every_download_has_a_checksum():
    found = {}
    for path in YAML:
        for module, arguments in downloads(path):
            name = str(path.relative_to(ROOT))
            found.setdefault(name, []).append((module, arguments))
            if name not in UNCHECKED:
                assert arguments.get("checksum"), f"{name}: {module} without a checksum"
                assert "validate_certs" not in arguments, f"{name}: {module} trusts anybody"
    assert "roles/k3s/tasks/binary.yml" in found  # else this looks for the wrong things
    assert set(found) >= set(UNCHECKED)


@pytest.mark.parametrize("path", YAML, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_shell_downloads(path):
    for task in tasks(yaml.safe_load(path.read_text())):
        for module in ("command", "shell", "raw"):
            said = str(task.get(f"ansible.builtin.{module}", ""))
            assert not re.search(r"\b(curl|wget) .*http", said), said


def test_all_that_is_pinned_can_be_looked_up():
    python = ROOT / ".venv/audit/bin/python"
    assert python.exists(), "pip-audit is missing: run `make install-audit`"
    done = subprocess.run(
        [python, ROOT / "scripts/audit_deps.py", "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    would = re.search(r"would have audited (\d+) packages", done.stderr)
    pinned = {
        line.split("==")[0]
        for lock in LOCKS
        for line in lock.read_text().splitlines()
        if "==" in line and not line.startswith(("#", " ")) and ";" not in line
    }
    assert int(would[1]) >= len(pinned)
