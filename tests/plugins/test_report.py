"""What is wrong with hosts is said once, and the advice stays within what the user asked for."""

import pytest
import report
import unreachable

HOSTS = ["cloud-1", "jetson-1", "jetson-2"]


def test_a_problem_that_hosts_share_is_said_once():
    problems = {host: ["No password.", "No password."] for host in HOSTS}
    problems["jetson-2"] = ["No password.", "No camera."]
    assert report.problem_report(problems, HOSTS) == [
        "Every host: No password.",
        "jetson-2: No camera.",
        "Nothing was changed on any host. Fix these problems and run again.",
    ]


@pytest.mark.parametrize(
    ("limit", "advice"),
    [("", "'all,!jetson-1'"), ("jetson-1,jetson-2", "'jetson-1,jetson-2,!jetson-1'")],
)
def test_the_advice_is_within_the_limit(limit, advice):
    said = report.problem_report({"jetson-1": ["It is off."]}, HOSTS[1:], limit)
    assert said[0] == "jetson-1: It is off."
    assert said[1].endswith(f"or exclude hosts with --limit {advice}.")


def test_no_advice_leaves_no_host():
    said = report.problem_report({"jetson-1": ["It is off."]}, ["jetson-1"], "jetson-1")
    assert said[-1] == "Nothing was changed on any host. Fix these problems and run again."


@pytest.mark.parametrize("words", ["a\x1b[2Jb\nc", {"a": 1}, "x" * 10_000_000, 5, None])
def test_words_of_a_host_are_one_line_of_text(words):
    said = report.readable(words)
    assert said.isprintable()
    assert len(said) <= report.MAX_LENGTH + 3


def test_a_task_that_timed_out_gets_a_sentence():
    said = report.readable("Task failed: Timed out after 120 second(s).")
    assert said.startswith("The host stopped responding (no answer within 120 s): check whether")


CAUSES = {
    "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.": (
        "ssh-keygen -R 192.0.2.11"
    ),
    "Failed to connect to the host via ssh: Host key verification failed.": "connect once by hand",
    "user@192.0.2.11: Permission denied (publickey,password).": "correct ansible_user",
    "ssh: Could not resolve hostname jetson: Name or service not known": "correct ansible_host",
    "connect to host 192.0.2.11 port 22: Connection refused": "systemctl start ssh",
    "connect to host 192.0.2.11 port 22: No route to host": "check that it is on",
    "connect to host 192.0.2.11 port 22: Connection timed out": "check that it is on",
}


@pytest.mark.parametrize("words", CAUSES)
def test_why_a_host_is_not_reached(words):
    said = unreachable.why_unreachable({"msg": f"Task failed: {words}"}, "192.0.2.11")
    assert CAUSES[words] in said
    assert "\n" not in said


MODULES = {
    "sudo: a password is required": "--ask-become-pass",
    "user is not in the sudoers file.": "may not use sudo",
    "/bin/sh: 1: /usr/bin/python3: not found": "install it (apt-get install python3)",
    "Timed out after 30 second(s).": "does not respond in time",
    "No start of json char found": "check ansible_python_interpreter",
}


@pytest.mark.parametrize("words", MODULES)
def test_why_no_module_runs(words):
    assert MODULES[words] in unreachable.why_no_module({"msg": "M", "module_stderr": words})


@pytest.mark.parametrize("result", [{}, {"msg": ["a"]}, {"msg": {"a": 1}, "module_stdout": 5}])
def test_a_result_of_any_shape_has_a_sentence(result):
    assert unreachable.why_no_module(result)
    assert unreachable.why_unreachable(result, "192.0.2.11")


def test_a_host_that_was_lost_has_a_sentence_unless_it_has_one_of_its_own():
    problems = {"cloud-1": [], "jetson-1": [], "jetson-2": ["No camera."]}
    assert report.problems_with_lost_hosts(problems, ["cloud-1"]) == {
        "cloud-1": [],
        "jetson-1": ["The host failed or became unreachable: see the output above."],
        "jetson-2": ["No camera."],
    }


def test_what_a_teardown_removes_is_said_by_host():
    found = ["k3s\nDocker\x1b[2J", ""]
    unsent = [["3 faces of the camera door"], []]
    assert report.removal_plan(["jetson-1", "jetson-2"], found, unsent) == [
        "From jetson-1: k3s",
        "From jetson-1: Docker [2J",
        "From jetson-1, not in the bucket yet: 3 faces of the camera door",
    ]
