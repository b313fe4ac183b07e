"""Small rules of checks."""

import checks
import pytest


class Unasked(dict):
    """A row whose message must not be worked out."""

    def __getitem__(self, key):
        assert key != "msg"
        return super().__getitem__(key)


def test_the_messages_of_failed_checks_are_one_list():
    rows = [
        {"failed_when": True, "msg": "No camera."},
        Unasked(failed_when=False, msg="No disk."),
        {"failed_when": True, "msg": ["No key.", "No port."]},
    ]
    assert checks.failed_checks(rows) == ["No camera.", "No key.", "No port."]
    assert checks.failed_checks([]) == []


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"log-level": "info"}'])
def test_an_object_and_an_empty_file_have_options(text):
    assert checks.is_json_object(text)


@pytest.mark.parametrize("text", ["[]", "null", "{", "no json"])
def test_what_is_no_object_has_no_options(text):
    assert not checks.is_json_object(text)


def test_duplicates_are_named_once_in_their_order():
    assert checks.duplicates(["b", "a", "b", "c", "a", "b"]) == ["b", "a"]
    assert checks.duplicates(["a", "b"]) == []


@pytest.mark.parametrize("port", [0, -1, 65536, "many", "", None])
def test_what_cannot_be_a_port_is_named(port):
    assert checks.invalid_ports({"one": 1, "two": port, "three": "65535"}) == ["two"]


@pytest.mark.parametrize(
    ("shell", "settings", "found"),
    [
        ({"AWS_PROFILE": ""}, {}, []),
        ({"AWS_PROFILE": "work"}, {}, ["AWS_PROFILE"]),
        ({"AWS_PROFILE": "work"}, {"AWS_PROFILE": "work"}, []),
        ({"AWS_PROFILE": "work"}, {"AWS_PROFILE": "play"}, ["AWS_PROFILE"]),
        ({"AWS_PROFILE": ""}, {"AWS_PROFILE": "play"}, []),
    ],
)
def test_a_shell_that_says_otherwise_is_named(shell, settings, found):
    assert checks.conflicting_environment(shell, settings) == found


def test_files_of_another_content_and_those_without_a_checksum_are_named():
    results = [
        {"item": "good", "stat": {"checksum": "1"}},
        {"item": "damaged", "stat": {"checksum": "2"}},
        {"item": "unknown", "stat": {"checksum": "3"}},
        {"item": "missing", "stat": {"exists": False}},
    ]
    sums = {"good": "1", "damaged": "1", "missing": "1"}
    assert checks.checksum_mismatches(results, sums) == ["damaged", "unknown", "missing"]
