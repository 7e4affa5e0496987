"""Hands out the files of a directory: server.py DIRECTORY ADDRESS PORT. What lies below /slow/ takes half a minute."""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVED, ADDRESS, PORT = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


class Handler(BaseHTTPRequestHandler):
    """Answers with a file, or that there is none."""

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path.startswith("/slow/"):
            time.sleep(30)
        path = SERVED / Path(self.path).name
        content = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


ThreadingHTTPServer((ADDRESS, PORT), Handler).serve_forever()
