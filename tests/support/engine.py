"""An engine for unit tests: it answers on a socket of its own what it was given, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from types import TracebackType
from typing import Any, Self


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


class Engine:
    """Answers a GET from `answers`, by its path with the query: bytes as they are, all else as JSON; without one 404.

    Anything else succeeds, unless `refusals` has a status and a text for its method and path.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.answers: dict[str, Any] = {}
        self.refusals: dict[tuple[str, str], tuple[int, str]] = {}
        self.asked: list[str] = []
        """Each GET."""
        self.told: list[tuple[str, str, Any]] = []
        """Method, path and document of everything else."""
        self._server = _Server(self.path, self._handler())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                engine.asked.append(self.path)
                answer = engine.answers.get(self.path)
                if refusal := engine.refusals.get(("GET", self.path)):
                    self._send(refusal[0], refusal[1].encode())
                elif answer is None:
                    self._send(404, b"no such thing")
                else:
                    self._send(200, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                is_document = self.headers.get("Content-Type") == "application/json"
                engine.told.append(
                    (self.command, self.path, json.loads(text) if is_document else text.decode() or None)
                )
                status, reason = engine.refusals.get((self.command, self.path), (204, ""))
                self._send(status, reason.encode())

            do_DELETE = do_POST  # noqa: N815

            def _send(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        return Handler

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
