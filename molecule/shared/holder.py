"""Print the id of the process that supervisord runs as a program: `holder.py DIR NAME [PID]`.

With PID, waits until it is another one.
"""

import subprocess
import sys
import time
from pathlib import Path

directory, name, *killed = sys.argv[1:]
command = [Path(sys.executable).parent / "supervisorctl", "-c", f"{directory}/supervisord.conf"]
deadline = time.monotonic() + 30
while True:
    done = subprocess.run([*command, "pid", name], capture_output=True, text=True, check=False)
    pid = done.stdout.strip()
    if done.returncode == 0 and pid.isdigit() and int(pid) and [pid] != killed:
        break
    if time.monotonic() > deadline:
        sys.exit(f"{name} runs as {pid or done.stderr}")
    time.sleep(0.1)
print(pid)
