"""A setting that is not of its type has one sentence, which names it and what it should be."""

import re

import facefleet_settings
import pytest
import report
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from support.plans import hosts
from support.role_variables import ROLES

SPECS = yaml.safe_load((ROLES / "facefleet/meta/argument_specs.yml").read_text())
CAMERAS = SPECS["argument_specs"]["main"]["options"]["facefleet_cameras"]
KEYS = f"(known: {', '.join(CAMERAS['options'])})"
DOOR = {"name": "door", "source": "/dev/video0"}


def settings(*terms, **variables):
    place = {"inventory_hostname": "jetson-1", "inventory_hostname_short": "jetson-1"}
    given = {**place, "group_names": ["edge"], "inventory_dir": "/inventory", **variables}
    given["hostvars"] = {"jetson-1": given}
    given["groups"] = {"edge": ["jetson-1"]}
    given["ansible_playbook_python"] = "/usr/bin/python3"
    loader = DataLoader()
    lookup = facefleet_settings.LookupModule(loader, Templar(loader, variables=given))
    (made,) = lookup.run(list(terms), given)
    return made


@pytest.mark.parametrize(
    ("camera", "sentence"),
    [
        (
            {"name": "door", "url": "/dev/video0"},
            f"camera door: unknown key url {KEYS}; source is missing.",
        ),
        ({**DOOR, "fps": "fast"}, "camera door: fps must be a number, not 'fast'."),
        ({**DOOR, "fps": True}, "camera door: fps must be a number, not true."),
        (
            {**DOOR, "fps": "fast", "Model": 1, "size": 2},
            f"camera door: unknown keys Model, size {KEYS}; fps must be a number, not 'fast'.",
        ),
        (
            {"source": {"a": "secret"}},
            "camera 1 of facefleet_cameras: name is missing; source must be text, not a "
            "dictionary.",
        ),
        (
            "rtsp://user:secret@192.0.2.7/",
            f"camera 1 of facefleet_cameras must be a dictionary {KEYS}, not text.",
        ),
        (None, f"camera 1 of facefleet_cameras must be a dictionary {KEYS}, not text."),
        ({**DOOR, "password": 0o123}, "camera door: password must be text: put it in quotes."),
        ({**DOOR, "password": True}, "camera door: password must be text: put it in quotes."),
        ({**DOOR, "user": 1.50}, "camera door: user must be text: put it in quotes."),
    ],
)
def test_a_camera_has_one_sentence_for_all_that_is_wrong(camera, sentence):
    assert facefleet_settings.typed("facefleet_cameras", [camera, DOOR], CAMERAS) == (
        [DOOR],
        [sentence],
    )


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("int", "many", "x must be a whole number, not 'many'."),
        ("int", 1.5, "x must be a whole number, not 1.5."),
        ("int", True, "x must be a whole number, not true."),
        ("int", [1], "x must be a whole number, not a list."),
        ("int", None, "x has no value: give it a whole number, or remove it."),
        ("float", "fast", "x must be a number, not 'fast'."),
        ("float", "y" * 100, f"x must be a number, not '{'y' * 60}...'."),
        ("bool", "perhaps", "x must be true or false, not 'perhaps'."),
        ("str", {"secret": 1}, "x must be text, not a dictionary."),
        ("path", ["secret"], "x must be a path, not a list."),
        ("list", 5, "x must be a list, not 5."),
        (
            "list",
            "a",
            "x must be a list, not text. On the command line, use JSON: -e '{\"x\": ...}'.",
        ),
        ("dict", ["secret"], "x must be a dictionary, not a list."),
    ],
)
def test_a_value_of_another_type_has_a_sentence(kind, value, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        facefleet_settings.typed("x", value, {"type": kind})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "12", 12),
        ("float", "2.5", 2.5),
        ("bool", "no", False),
        ("str", 5, "5"),
        ("list", [1], [1]),
        ("dict", {"a": 1}, {"a": 1}),
    ],
)
def test_text_is_made_what_the_setting_is(kind, text, value):
    assert facefleet_settings.typed("x", text, {"type": kind}) == (value, [])


def test_the_other_elements_of_a_list_stay():
    spec = {"type": "list", "elements": "str"}
    assert facefleet_settings.typed("x", ["a", {"b": 1}, 3], spec) == (
        ["a", "3"],
        ["item 2 of x must be text, not a dictionary."],
    )


def test_what_follows_from_a_setting_is_not_refused_beside_it():
    made = settings(facefleet_runtime="docker")
    assert made["problems"] == ["facefleet_runtime must be one of: k3s, process; not docker."]
    assert made["facefleet_runtime"] == "k3s"


def test_no_problem_hides_another():
    cameras = [
        {"name": "door", "url": "x"},
        {"name": "yard", "source": "rtsp://192.0.2.50/stream1"},
    ]
    made = settings(
        facefleet_broker_nodeport="many",
        facefleet_bucket="example-facefleet-faces",
        facefleet_region=trust_as_template("{{ nowhere }}"),
        facefleet_cameras=cameras,
    )
    found = sorted(made["problems"])
    assert [one[:40] for one in found] == [
        "The source of the camera yard is rtsp://",
        f"camera door: unknown key url {KEYS}"[:40],
        "facefleet_broker_nodeport must be a whol",
        "facefleet_bucket is example-facefleet-fa",
        "facefleet_region cannot be evaluated: 'n",
    ]


def test_what_follows_is_checked_as_if_a_refused_setting_had_its_default():
    checks = trust_as_template(
        "{{ (['a port'] if facefleet_broker_nodeport == 31883 else ['no port'])"
        " + ([facefleet_bucket] if facefleet_bucket is match('A') else []) }}"
    )
    given = {"facefleet_broker_nodeport": "many", "facefleet_bucket": "A", "checks": checks}
    assert settings("checks", **given) == ["a port", "A"]


def test_the_example_is_refused_by_the_names_of_what_to_fill_in():
    """That such problems end a run: tests/playbooks/test_preflight.py."""
    found = hosts(ROLES.parent / "inventories/example", facefleet_pki_password="secret")
    problems = {name: host.problems for name, host in found.items()}
    said = report.problem_report(problems, list(found))
    for sentence in (
        "Every host: facefleet_bucket is example-facefleet-faces, as in inventories/example: set "
        "it to your own.",
        "jetson-1: ansible_host is 192.0.2.11, as in inventories/example: set it to your own.",
        "jetson-2: The source of the camera yard is rtsp://192.0.2.50/stream1, as in "
        "inventories/example: set it to your own.",
    ):
        assert said.count(sentence) == 1, said
    assert said[-1] == "Nothing was changed on any host. Fix these problems and run again."
