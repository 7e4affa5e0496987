"""A mail relay that demands STARTTLS and a login, and writes each message it takes into a file (tests only).

relay.py DIRECTORY PORT CERTIFICATE KEY LOGIN PASSWORD-FILE
"""

from __future__ import annotations

import base64
import json
import socketserver
import ssl
import sys
import time
from pathlib import Path

DIRECTORY, PORT, CERTIFICATE, KEY, LOGIN, PASSWORD = sys.argv[1:]


class Session(socketserver.StreamRequestHandler):
    """One client."""

    timeout = 60

    def say(self, line: str) -> None:
        """Send one line."""
        self.wfile.write(f"{line}\r\n".encode())

    def hear(self) -> str:
        """Receive one line; ends the session when there is none."""
        line = self.rfile.readline(4096)
        if not line:
            raise ConnectionError
        return line.decode().rstrip("\r\n")

    def handle(self) -> None:
        """Talk SMTP until the client leaves."""
        try:
            self.talk()
        except (ConnectionError, ssl.SSLError, TimeoutError) as error:
            self.note({"broken": type(error).__name__})

    def note(self, entry: dict[str, object]) -> None:
        """Write what happened."""
        with (Path(DIRECTORY) / "relay.log").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def talk(self) -> None:
        """Answer command by command."""
        secure = known = False
        envelope: dict[str, object] = {}
        self.say("220 relay.example.test ESMTP")
        while True:
            line = self.hear()
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                self.say("250-relay.example.test")
                self.say("250 AUTH LOGIN PLAIN" if secure else "250 STARTTLS")
            elif verb == "STARTTLS":
                self.say("220 go ahead")
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(CERTIFICATE, KEY)
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
                secure = True
            elif verb == "AUTH" and secure:
                known = self.log_in(line)
            elif verb == "MAIL" and known:
                envelope = {"from": line, "to": []}
                self.say("250 ok")
            elif verb == "RCPT" and known:
                envelope["to"] = [*list(envelope["to"]), line]  # type: ignore[call-overload]
                self.say("250 ok")
            elif verb == "DATA" and known:
                self.say("354 go on")
                text = []
                while (part := self.hear()) != ".":
                    text.append(part.removeprefix("."))
                entry = {**envelope, "text": "\n".join(text)}
                (Path(DIRECTORY) / f"{time.time_ns()}.json").write_text(json.dumps(entry))
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.note({"refused": line})
                self.say("530 not without TLS and a login")

    def log_in(self, line: str) -> bool:
        """Check a login, of either kind."""
        kind, *given = line.split(" ")[1:]
        if kind == "PLAIN":
            _, login, password = base64.b64decode(given[0]).decode().split("\0")
        else:
            words = [given[0]] if given else []
            while len(words) < 2:
                self.say("334 " + base64.b64encode(b"next").decode())
                words.append(self.hear())
            login, password = (base64.b64decode(word).decode() for word in words)
        right = login == LOGIN and password == Path(PASSWORD).read_text(encoding="utf-8")
        self.note({"login": login, "right": right})
        self.say("235 welcome" if right else "535 login refused")
        return right


class Server(socketserver.ThreadingTCPServer):
    """A thread for each client."""

    allow_reuse_address = True
    daemon_threads = True


Server(("0.0.0.0", int(PORT)), Session).serve_forever()  # noqa: S104 -- containers ask
