#!/usr/bin/python
"""List the faces pending in the outboxes of a host."""

import contextlib
import json
import pathlib
import sqlite3

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: outbox_info
short_description: List the faces pending in the outboxes of a host
description:
  - Reads each outbox, whether or not its detector is running. Changes nothing.
  - In Kubernetes, asks for the folders of the volumes, which may be on any disk. If Kubernetes is
    installed but does not respond, one of the sentences says so.
  - RV(unsent) has a sentence for each outbox with faces that the bucket does not have, for each
    that cannot be read, and for each that was damaged and set aside.
author: The facefleet authors
attributes:
  check_mode:
    support: full
options:
  folder:
    description: The folder to search.
    type: path
    required: true
  pattern:
    description: The pattern of the outbox files below O(folder).
    type: str
    required: true
  kubectl:
    description: >-
      The kubectl command with its first arguments, if the outboxes are in Kubernetes volumes.
    type: list
    elements: str
    default: []
  namespace:
    description: The namespace of the volumes' claims.
    type: str
"""

EXAMPLES = r"""
- name: Gather the pending faces
  facefleet.facefleet.outbox_info:
    folder: /var/lib/facefleet/edge-1
    pattern: outbox-*.sqlite*
  register: outboxes
"""

ITS_OWN = ("-wal", "-shm", ".lock")  # files that belong to an outbox


def plural(number, what):
    return f"{number} {what}{'' if number == 1 else 's'}"


def unsent(path):
    """Return a sentence about the faces of an outbox that are not in the bucket, or None."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            camera = db.execute("SELECT camera FROM outbox").fetchone() or ("unknown",)
            pending, dead = (
                db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in ("pending", "dead")
            )
    except sqlite3.Error as error:
        return f"{path} cannot be read ({error})"
    found = [plural(pending, "face")] if pending else []
    found += [plural(dead, "dead letter")] if dead else []
    return f"{' and '.join(found)} of the camera {camera[0]} ({path})" if found else None


def volumes(listed, namespace):
    """Yield the folders of a namespace's volumes, from the JSON of `kubectl get`."""
    for item in json.loads(listed)["items"]:
        spec = item["spec"]
        if spec.get("claimRef", {}).get("namespace") == namespace:
            for kind in ("hostPath", "local"):
                if kind in spec:
                    yield spec[kind]["path"]


def claimed(module):
    """Return paths of outboxes in volumes, and a sentence if these cannot be found."""
    kubectl = module.params["kubectl"]
    if not kubectl or not pathlib.Path(kubectl[0]).exists():
        return [], []
    get = [*kubectl, "get", "persistentvolumes", "--output=json", "--request-timeout=20s"]
    code, listed, errors = module.run_command(get)
    if code:
        why = " ".join(errors.split()[-12:])
        said = (
            f"an unknown number of faces: k3s does not say where its volumes are ({why}); start k3s"
        )
        return [], [said]
    folders = volumes(listed, module.params["namespace"])
    return [
        path for folder in folders for path in pathlib.Path(folder).glob("outbox-*.sqlite*")
    ], []


def main():
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "pattern": {"type": "str", "required": True},
            "kubectl": {"type": "list", "elements": "str", "default": []},
            "namespace": {"type": "str"},
        },
        supports_check_mode=True,
    )
    found, told = claimed(module)
    found += pathlib.Path(module.params["folder"]).glob(module.params["pattern"])
    paths = {path.resolve(): path for path in found if not path.name.endswith(ITS_OWN)}
    told += [unsent(path) for path in sorted(paths.values())]
    module.exit_json(changed=False, unsent=[sentence for sentence in told if sentence])


if __name__ == "__main__":
    main()
