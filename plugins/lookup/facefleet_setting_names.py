"""The names of an inventory's variables: those that facefleet does not know, or knew before.

Both would have no effect, so both are refused, before any host is contacted.
"""

import difflib
from pathlib import Path

import yaml
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars

DOCUMENTATION = """
name: facefleet_setting_names
author: the facefleet authors
short_description: Sentences for variables that have no effect
description:
  - A list with a sentence for each variable of the host whose name was changed, or begins with
    C(facefleet_) and is not known.
options: {}
"""

SPECS = Path(__file__).resolve().parents[2] / "roles/facefleet/meta/argument_specs.yml"
# Not settings, but tests and scenarios replace them.
REPLACEABLE = ("facefleet_host_dir", "facefleet_s3_services", "facefleet_services")
# Nor are these: an earlier play of the run has set them.
FACTS = ("facefleet_outboxes", "facefleet_plan", "facefleet_ports", "facefleet_problems")

RENAMED = {
    "app_image_way": "app_image_source",
    "app_service_flows": "app_service_network_flows",
    "aws_access_kms_key": "aws_access_kms_key_arn",
    "aws_access_read": "aws_access_allow_read",
    "aws_instance_fleet": "aws_instance_fleet_name",
    "aws_instance_protected": "aws_instance_termination_protection",
    "aws_instance_public_key": "aws_instance_public_key_file",
    "aws_network_broker_from": "aws_network_broker_allowed_cidrs",
    "aws_network_ssh_from": "aws_network_ssh_allowed_cidrs",
    "aws_network_vpc": "aws_network_vpc_id",
    "aws_storage_kms_key": "aws_storage_kms_key_arn",
    "aws_storage_tls_only": "aws_storage_require_tls",
    "broker_kind": "facefleet_broker_implementation",
    "facefleet_broker_kind": "facefleet_broker_implementation",
    "facefleet_controller_address": "facefleet_ssh_allowed_cidrs",
    "facefleet_first_port": "facefleet_base_port",
    "facefleet_gallery_hosts": "facefleet_gallery_allowed_hosts",
    "facefleet_kms_key": "facefleet_kms_key_arn",
    "facefleet_nodeport": "facefleet_broker_nodeport",
    "facefleet_outbox_max_bytes": "facefleet_outbox_max_size",
    "facefleet_public_address": "facefleet_broker_allowed_cidrs",
    "facefleet_resources": "facefleet_service_resources",
    "facefleet_s3_tls_only": "facefleet_s3_require_tls",
    "facefleet_ssh_public_key": "facefleet_ssh_public_key_file",
    "facefleet_vpc": "facefleet_vpc_id",
    "k3s_nodeport": "k3s_broker_nodeport",
    "pki_days": "pki_certificate_validity_days",
}
# Of the command line alone: an inventory may have variables of such names for other playbooks.
RENAMED_EXTRA_VARS = {
    "confirm": "facefleet_confirm",
    "delete_faces": "facefleet_delete_faces",
    "device": "facefleet_device",
    "unsent_faces": "facefleet_unsent_faces",
}


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        names = variables["hostvars"][variables["inventory_hostname"]]
        specs = yaml.safe_load(SPECS.read_text())["argument_specs"]["main"]["options"]
        return [
            *renamed_settings(names, load_extra_vars(self._loader)),
            *unknown_settings(names, [*specs, *REPLACEABLE, *FACTS]),
        ]


def renamed_settings(names, extra_vars):
    """A sentence for each name that was changed. `extra_vars`: the names given by -e."""
    return [
        f"{old} has been renamed: use {new}." for old, new in RENAMED.items() if old in names
    ] + [
        f"-e {old} has been renamed: use -e {new}."
        for old, new in RENAMED_EXTRA_VARS.items()
        if old in extra_vars
    ]


def unknown_settings(names, known):
    """A sentence for each facefleet_* name that is not a setting, with the nearest that is."""
    bare = {name.removeprefix("facefleet_"): name for name in known}
    said = []
    for name in names:
        if not name.startswith("facefleet_") or name in known or name in RENAMED:
            continue
        near = difflib.get_close_matches(name.removeprefix("facefleet_"), bare, n=1)
        advice = (
            f"did you mean {bare[near[0]]}?"
            if near
            else "remove it, or see roles/facefleet/defaults/main.yml."
        )
        said.append(f"Unknown variable {name}: {advice}")
    return said
