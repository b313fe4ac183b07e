"""Open each device that is named, and serve what came of it: `reader.py DEVICE...`."""

import http.server
import json
import os
import sys


def attempt(path):
    try:
        os.close(os.open(path, os.O_WRONLY))  # the kernel's log takes only who writes for anyone
    except OSError as error:
        return error.strerror
    return "opened"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = {"user": os.getuid(), **{path: attempt(path) for path in sys.argv[1:]}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())


http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
