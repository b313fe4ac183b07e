"""The name of a play or task is a verb and a thing: "Start k3s", not "Run it"."""

import re
from itertools import chain
from pathlib import Path

import pytest
import yaml

from support.playbook_tasks import NESTED

ROOT = Path(__file__).parents[2]
# Add a verb that says what is done. Look, Have, Let, Say and Make do not.
VERBS = """
Add Apply Ask Associate Audit Boot Build Change Check Clean Close Compare Configure Confirm Connect
Copy
Create Delete Destroy Disable Disconnect Download Drain Drop Enable End Evaluate Fail Fetch
Find Flush Free Gather Give Hash Hold Import Install Issue Join Keep Kill Launch Link List
Move Open Parse Plan Plug Prepare Probe Publish Pull Read Record Refuse Release Reload
Remove Render Renew Report Reset Restart Restore Revoke Rotate Run Select Send Serve Set
Show Sign Simulate Start Stop Terminate Unhold Uninstall Unplug Update Upgrade Verify Wait
Write
"""
PRONOUNS = {"everything", "it", "one", "ours", "them", "there", "they", "those", "what", "who"}
# Elsewhere they go with a noun or begin a clause: "this host", "that SSH answered".
NOT_AT_THE_END = {"all", "anew", "not", "so", "that", "these", "this"}
LONGEST = 60  # characters, besides those that Jinja fills in
JINJA = re.compile(r"\{\{.*?\}\}")


class Loader(yaml.CSafeLoader):
    """Reads tags such as !vault, too."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def scopes():
    """The files whose names must be unique together: those of a role's folder, or one file."""
    for folder in chain(ROOT.glob("roles/*/tasks"), ROOT.glob("roles/*/handlers")):
        yield folder, sorted(folder.rglob("*.yml"))
    for pattern in ("site.yml", "playbooks/*.yml", "playbooks/t*/*.yml"):
        for file in ROOT.glob(pattern):
            yield file, [file]
    for pattern in ("*.yml", "tasks/*.yml"):
        for file in ROOT.glob(f"molecule/*/{pattern}"):
            if file.name != "molecule.yml":
                yield file, [file]


SCOPES = {path.relative_to(ROOT): files for path, files in scopes()}


def named(node):
    """Every play and task, in whatever block."""
    for item in node:
        yield item
        for key in NESTED:
            yield from named(item.get(key) or [])


def faults(name):
    """What is wrong with a name, in words."""
    words = re.findall(r"[\w'-]+", JINJA.sub("", name or ""))
    if not words:
        return ["has no words"]
    found = []
    if words[0] not in VERBS.split():
        found.append(f"starts with {words[0]}, which is no verb of the list")
    if len(words) == 1 and not JINJA.search(name):
        found.append("names no object")
    found += [f"has the pronoun {word}" for word in words if word.lower() in PRONOUNS]
    if words[-1].lower() in NOT_AT_THE_END and not JINJA.search(name):
        found.append(f"ends with {words[-1]}")
    if len(JINJA.sub("", name)) > LONGEST:
        found.append(f"has more than {LONGEST} characters")
    return found


@pytest.mark.parametrize("scope", sorted(SCOPES), ids=str)
def test_names_are_a_verb_and_a_thing_and_unique(scope):
    seen = {}
    wrong = []
    for file in SCOPES[scope]:
        for item in named(yaml.load(file.read_text(), Loader)):
            name = item.get("name")
            reasons = faults(name)
            if name in seen:
                reasons.append(f"is also the name of a task in {seen[name]}")
            seen[name] = file.name
            wrong += [f"{file.relative_to(ROOT)}: {name!r} {reason}" for reason in reasons]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "name",
    [
        None,
        "{{ item }}",
        "Run it",
        "Look at what is there",
        "Say why not",
        "The cloud",
        "Settings",
        "Install",
        "Check that those are gone",
        "Remove all that",
        "start k3s",
        "Start " + 60 * "k",
    ],
)
def test_a_poor_name_is_found(name):
    assert faults(name)


@pytest.mark.parametrize(
    "name",
    [
        "Start k3s",
        "Check that SSH answered",
        "Fail with the problems of this host",
        "Start {{ app_service_name }}",
    ],
)
def test_a_good_name_passes(name):
    assert not faults(name)
