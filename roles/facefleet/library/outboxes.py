#!/usr/bin/python
"""Say which faces wait in the outboxes of a host."""

import contextlib
import pathlib
import sqlite3

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: outboxes
short_description: Say which faces wait in the outboxes of a host
description:
  - Reads each outbox beside its detector, and also where no detector runs. Changes nothing.
  - RV(unsent) has a sentence for each outbox with faces that the bucket does not have, for each
    that cannot be read, and for each that was broken and set aside.
attributes:
  check_mode:
    support: full
options:
  folder:
    description: Where to look.
    type: path
    required: true
  pattern:
    description: What the outboxes are called below it.
    type: str
    required: true
"""

ITS_OWN = ("-wal", "-shm", ".lock")  # beside an outbox


def plural(number, what):
    return f"{number} {what}{'' if number == 1 else 's'}"


def unsent(path):
    """A sentence for what an outbox holds that the bucket does not have; None where nothing."""
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


def main():
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "pattern": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    paths = pathlib.Path(module.params["folder"]).glob(module.params["pattern"])
    told = [unsent(path) for path in sorted(paths) if not path.name.endswith(ITS_OWN)]
    module.exit_json(changed=False, unsent=[sentence for sentence in told if sentence])


if __name__ == "__main__":
    main()
