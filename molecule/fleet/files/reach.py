"""Say which of `HOST:PORT ...` take a connection: a line each, with its answer."""

import socket
import sys

for target in sys.argv[1:]:
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except socket.gaierror:
        answer = "has no address"
    except OSError:
        answer = "is closed"
    else:
        answer = "is open"
    print(target, answer)
