"""Visitors that ask all the time, and count what they get (tests only). SIGTERM ends them; then they say it, as JSON.

visitors.py ADDRESS PORT DOMAIN AUTHORITY PATH SLOW_PATH: of ten visitors four keep their connection, four open one for
each request, and two take SLOW_PATH, a large file, a little at a time.

A server may close a connection that nobody is using; a client that learns of it when it asks asks again, on another one
(RFC 9112, 9.3.1). That is counted by itself: no visitor sees it.
"""

from __future__ import annotations

import collections
import http.client
import json
import signal
import socket
import ssl
import sys
import threading
import time

TIMEOUT = 30
SLICE, PAUSE = 1 << 16, 0.02
"""Bytes that a slow visitor takes at once, and the seconds that he waits then."""
CLOSED = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)

counts: collections.Counter[str] = collections.Counter()
reasons: list[str] = []
ended = threading.Event()


class Connection(http.client.HTTPSConnection):
    """A connection to the server's address, whatever its name resolves to."""

    def __init__(self, address: str, port: int, domain: str, authority: str) -> None:
        super().__init__(domain, port, timeout=TIMEOUT)
        self.place = address, port
        self.tls = ssl.create_default_context(cafile=authority)

    def connect(self) -> None:
        """Open it, and look at the certificate."""
        plain = socket.create_connection(self.place, TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.tls.wrap_socket(plain, server_hostname=self.host)


def ask(connection: Connection, path: str, slow: bool = False) -> None:
    """Ask once, and take the whole answer."""
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise ValueError(f"status {answer.status}")
    taken, length = 0, int(answer.headers.get("Content-Length") or 0)
    while part := answer.read(SLICE):
        taken += len(part)
        if slow:
            time.sleep(PAUSE)
    if length and taken != length:
        raise ValueError(f"{taken} of {length} bytes")


def visit(arguments: tuple[str, int, str, str], path: str, keeps: bool, slow: bool) -> None:
    """Ask until the end."""
    connection, used = Connection(*arguments), False
    while not ended.is_set():
        try:
            try:
                ask(connection, path, slow)
            except CLOSED:
                if not used:
                    raise
                counts["asked again"] += 1
                connection.close()
                ask(connection, path, slow)
            used = keeps
            counts["slow" if slow else "kept" if keeps else "new"] += 1
        except (OSError, ValueError, http.client.HTTPException) as error:
            counts["failed"] += 1
            reasons.append(repr(error))
            used = False
        if not used:
            connection.close()


def main(address: str, port: str, domain: str, authority: str, path: str, slow_path: str) -> None:
    """Send the visitors, and say what they got."""
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    arguments = (address, int(port), domain, authority)
    kinds = [(path, True, False)] * 4 + [(path, False, False)] * 4 + [(slow_path, True, True)] * 2
    visitors = [threading.Thread(target=visit, args=(arguments, *kind)) for kind in kinds]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        while visitor.is_alive():
            visitor.join(0.2)
    sys.stdout.write(json.dumps({**counts, "reasons": reasons[:9]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
