#!/usr/bin/env python3
"""The Python of a host that lies: it runs what it is sent, and changes what comes back.

`ansible_python_interpreter` names a copy of this file. Beside it, liar.json has `python`, the real
one, `honest`, how many answers are left as they are, and `kind`, the lie: `facts` adds `facts` to
every answer, `types` gives each value another type, `no-json` says something else, `flood` says far
too much of it, `silent` says nothing and ends, `exits` fails without a word, `delay` waits for
longer than anyone should.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def lie(answer, plan):
    if plan["kind"] == "facts":
        return {**answer, "ansible_facts": plan["facts"]}
    if plan["kind"] == "types":
        return {key: other(value) for key, value in answer.items() if key != "invocation"}
    return answer


def other(value):
    """A value of another type, where Ansible itself does not look at it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"text": [value]}
    return "{{ lookup('pipe', 'id') }}"


def main():
    plan = json.loads((HERE / "liar.json").read_text())
    with (HERE / "asked").open("a") as asked:
        asked.write("x")
        honest = asked.tell() <= plan["honest"]
    if not honest:
        match plan["kind"]:
            case "no-json":
                print("Welcome! {{ lookup('pipe', 'id') }} \x1b[2J", flush=True)
                return 0
            case "flood":
                for _ in range(200):
                    sys.stdout.write("flood " * 20_000)
                return 0
            case "exits":
                return 77
            case "silent":
                return 0
            case "delay":
                time.sleep(60)
    done = subprocess.run(
        [plan["python"], *sys.argv[1:]], stdin=sys.stdin, stdout=subprocess.PIPE, check=False
    )
    for line in done.stdout.decode(errors="replace").split("\n"):
        if line.startswith("{") and not honest:
            print(json.dumps(lie(json.loads(line), plan)))
        else:
            print(line)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
