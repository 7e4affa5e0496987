"""A server that speaks the protocol of WordPress's directory, and serves releases: server.py DIRECTORY PORT LOG.

DIRECTORY holds plugins/SLUG.VERSION.zip, themes/SLUG.VERSION.zip and releases/. Each request is a line of LOG.
"""

from __future__ import annotations

import json
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SERVED, PORT, LOG = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])


class Handler(BaseHTTPRequestHandler):
    """Answers the two questions that are asked, and hands out files."""

    def do_GET(self) -> None:
        """Answer one request."""
        with LOG.open("a", encoding="utf-8") as log:
            log.write(self.path + "\n")
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        for kind in ("plugin", "theme"):
            if address.path == f"/{kind}s/info/1.2/" and query.get("action") == f"{kind}_information":
                self.about(kind, query["request[slug]"])
                return
        path = (SERVED / address.path.lstrip("/")).resolve()
        if path.is_relative_to(SERVED) and path.is_file():
            self.say(200, path.read_bytes(), "application/octet-stream")
        else:
            self.say(404, b"no such file", "text/plain")

    def about(self, kind: str, slug: str) -> None:
        """Describe a plugin or a theme; the newest version is also that of the download link."""
        found = {path.stem.removeprefix(f"{slug}."): path for path in (SERVED / f"{kind}s").glob(f"{slug}.*.zip")}
        links = {v: f"http://{self.headers['Host']}/{kind}s/{p.name}" for v, p in sorted(found.items())}
        if not links:
            self.say(404, json.dumps({"error": f"{kind.title()} not found."}).encode(), "application/json")
            return
        newest = max(links)
        document = {"name": slug, "slug": slug, "version": newest, "download_link": links[newest], "versions": links}
        self.say(200, json.dumps(document).encode(), "application/json")

    def say(self, status: int, content: bytes, kind: str) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()  # noqa: S104 -- containers ask
