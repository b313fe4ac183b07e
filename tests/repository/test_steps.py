"""What a newcomer reads: the lines of `make demo`, and what `make test` says that it needs."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PLAYS = """
- name: The first play
  hosts: one:two
  gather_facts: false
  tasks:
    - name: Say something
      ansible.builtin.debug:
        msg: something that a newcomer need not read
- name: The first play
  hosts: one:two
  gather_facts: false
- name: The second play
  hosts: one:two
  gather_facts: false
  tasks:
    - name: Fail
      ansible.builtin.fail:
        msg: |-
          Port 31900 is taken: end what holds it.
          Its log ends: cannot bind
      when: fails | default(false)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "site.yml").write_text(PLAYS)
    (tmp_path / "hosts").write_text("one ansible_connection=local\ntwo ansible_connection=local\n")
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\ninventory = hosts\ncallback_result_format = yaml\ndisplay_ok_hosts = False\n"
        f"collections_path = {ROOT}/.ansible/collections\n"
    )
    return tmp_path


def environment(checkout: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(checkout / "ansible.cfg"),
        "PYTHONIOENCODING": "utf-8",
        **more,
    }


def steps(checkout: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts/steps.py", *arguments],
        cwd=checkout,
        env=environment(checkout, **more),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_play_is_a_line_with_a_tick_and_its_time(checkout: Path) -> None:
    done = steps(checkout, "playbook", "site.yml")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.sub(r"\d+ s$", "N s", line) for line in done.stdout.splitlines()]
    assert lines == ["✓ Read the inventory  N s", "✓ The first play  N s", "✓ The second play  N s"]
    assert "PLAY RECAP" in (checkout / ".facefleet/demo.log").read_text()
    assert (checkout / ".facefleet").stat().st_mode & 0o777 == 0o700


def test_a_failure_is_told_once_with_the_path_of_the_log(checkout: Path) -> None:
    with (checkout / "site.yml").open("a") as playbook:
        playbook.write("  vars: {fails: true}\n")
    done = steps(checkout, "playbook", "site.yml")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("✗ The second play  ")
    assert done.stderr.splitlines() == [
        "one, two: Port 31900 is taken: end what holds it.",
        "Its log ends: cannot bind",
        "The whole log: .facefleet/demo.log (V=1 shows the output as it is written)",
    ]


REPORT = """
- name: Report
  hosts: one:two
  gather_facts: false
  tasks:
    - name: Fail, and go on
      ansible.builtin.fail:
        msg: a reason that was rescued
      ignore_errors: true
    - name: Report every problem
      facefleet.facefleet.report_problems:
        sentences: ["one: SOURCE is no camera: it's a bird.", "two: The disk is full."]
      run_once: true
"""


def test_every_problem_of_a_report_is_a_line(checkout: Path) -> None:
    (checkout / "site.yml").write_text(REPORT)
    done = steps(checkout, "playbook", "site.yml")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "one: SOURCE is no camera: it's a bird.",
        "two: The disk is full.",
        "The whole log: .facefleet/demo.log (V=1 shows the output as it is written)",
    ]


def test_an_interrupted_run_says_how_to_go_on_and_how_to_stop(checkout: Path) -> None:
    (checkout / "site.yml").write_text(
        "- {name: Interrupt, hosts: one, gather_facts: false, "
        f"vars: {{ansible_python_interpreter: {sys.executable}}}, "
        "tasks: [{name: Wait, ansible.builtin.shell: echo >began; sleep 60}]}\n"
    )
    wrapper = checkout / "bin/ansible-playbook"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho $$ >pid\nexec {BIN}/ansible-playbook "$@"\n')
    wrapper.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts/steps.py", "playbook", "site.yml"],
        cwd=checkout,
        env=environment(checkout, PATH=f"{wrapper.parent}:{os.environ['PATH']}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (checkout / "began").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.kill(int((checkout / "pid").read_text()), signal.SIGINT)
    said, problem = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("✗ Interrupt")
    assert problem == (
        "\nInterrupted. `make demo` resumes; `make stop` ends every process that it started.\n"
    )


def test_a_log_that_cannot_be_written_is_named(checkout: Path) -> None:
    (checkout / ".facefleet/demo.log").mkdir(parents=True)
    done = steps(checkout, "playbook", "site.yml")
    assert done.returncode == 1
    assert done.stderr == "Cannot write .facefleet/demo.log: Is a directory.\n"


def test_a_source_is_passed_on_with_its_whole_path(checkout: Path) -> None:
    (checkout / "door.mp4").touch()
    (checkout / "site.yml").write_text(
        "- {name: Look, hosts: one, gather_facts: false, tasks: [{name: Say, "
        "ansible.builtin.fail: {msg: \"{{ lookup('env', 'SOURCE') }}\"}}]}\n"
    )
    done = steps(checkout, "playbook", "site.yml", SOURCE="door.mp4")
    assert done.stderr.splitlines()[0] == f"one: {checkout.resolve()}/door.mp4"


def test_a_playbook_that_cannot_be_read_shows_the_end_of_its_log(checkout: Path) -> None:
    (checkout / "site.yml").write_text("- hosts: [\n")
    done = steps(checkout, "playbook", "site.yml")
    assert done.returncode == 1
    assert done.stdout.startswith("✗ Read the inventory")
    assert "ERROR" in done.stderr


def test_verbose_shows_all_of_it(checkout: Path) -> None:
    done = steps(checkout, "playbook", "site.yml", V="1", ANSIBLE_DISPLAY_OK_HOSTS="true")
    assert done.returncode == 0
    assert "something that a newcomer need not read" in done.stdout
    assert not (checkout / ".facefleet").exists()


def test_where_no_tick_can_be_shown_there_is_a_word(checkout: Path) -> None:
    done = steps(checkout, "playbook", "site.yml", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.startswith("ok Read the inventory")


def test_a_terminal_shows_what_is_under_way(checkout: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts/steps.py", "playbook", "site.yml"],
        cwd=checkout,
        env=environment(checkout),
        stdout=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 4096):
            said += piece
    except OSError:  # its end, on Linux
        pass
    os.close(ours)
    assert process.wait() == 0
    text = said.decode()
    assert "… The first play  Say something" in text
    assert "\r\033[K✓ The first play" in text


def test_what_cannot_be_installed_is_named(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv/bin").symlink_to(BIN)
    (checkout / "none.txt").write_text("facefleet-has-no-such-package==1 --hash=sha256:00\n")
    done = steps(checkout, "pip", "Install nothing", "none.txt", PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert done.stdout.startswith("✗ Install nothing")
    assert "ERROR: No matching distribution found for facefleet-has-no-such-package" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("The whole log: .venv/install.log")


def packages(folder: Path, *, user: bool, there: list[str]) -> subprocess.CompletedProcess[str]:
    """`make test`'s first step where only those programs are installed; apt-get writes down."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name in there:
        (programs / name).write_text("#!/bin/sh\n")
    (programs / "apt-get").write_text(f'#!/bin/sh\necho "$@" >>{folder}/apt\n')
    (programs / "dpkg-query").write_text("#!/bin/sh\ncase $3 in fonts*) printf installed ;; esac\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    script = (ROOT / "scripts/test_packages.py").read_text()
    script = script.replace(":/usr/local/sbin:/usr/sbin:/sbin", "")
    prelude = f"import os; os.geteuid = lambda: {1000 if user else 0}\n"
    script = script.replace("__file__", repr(str(ROOT / "scripts/test_packages.py")))
    return subprocess.run(
        [sys.executable, "-c", prelude + script],
        env={"PATH": f"{programs}"},
        capture_output=True,
        text=True,
        check=False,
    )


NEEDED = ["python3", "make", "mosquitto", "mosquitto_sub", "chromium", "chromedriver"]


def test_with_all_packages_nothing_is_said(tmp_path: Path) -> None:
    done = packages(tmp_path, user=True, there=[*NEEDED, "docker", "ssh-keygen", "ip"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_user_is_told_the_one_line_and_what_is_left_out(tmp_path: Path) -> None:
    done = packages(tmp_path, user=True, there=NEEDED)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "Packages are missing: sudo apt-get install docker.io openssh-client iproute2",
        "Skipped without them: the scenarios on hosts of their own.",
        "Skipped without them: the test of make bench-link.",
    ]
    assert not (tmp_path / "apt").exists()


def test_nothing_runs_without_what_all_tests_need(tmp_path: Path) -> None:
    done = packages(tmp_path, user=True, there=["python3", "make", "docker", "ssh-keygen", "ip"])
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "Packages are missing: sudo apt-get install "
        "mosquitto mosquitto-clients chromium chromium-driver"
    ]
    assert done.stderr.startswith("The tests cannot run without these packages")


def test_root_has_them_installed(tmp_path: Path) -> None:
    done = packages(tmp_path, user=False, there=["python3", "make", "docker", "ssh-keygen", "ip"])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "apt").read_text().splitlines() == [
        "update -q",
        "install -qy --no-install-recommends mosquitto mosquitto-clients chromium chromium-driver",
    ]


def test_ci_installs_from_the_same_list() -> None:
    assert "requirements/test.apt" in (ROOT / ".ci/run").read_text()
