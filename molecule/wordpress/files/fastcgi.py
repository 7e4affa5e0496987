"""Sends one FastCGI request, with a body, and prints the whole answer (tests only).

fastcgi.py HOST SCRIPT BODY [NAME=VALUE ...]
"""

from __future__ import annotations

import socket
import struct
import sys

BEGIN, PARAMETERS, BODY, OUTPUT, END = 1, 4, 5, 6, 3


def record(kind: int, content: bytes) -> bytes:
    """Make one record."""
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def pair(name: str, value: str) -> bytes:
    """Write one parameter."""
    raw = [name.encode(), value.encode()]
    return b"".join(struct.pack("!I", len(part) | 0x80000000) for part in raw) + b"".join(raw)


def main(host: str, script: str, body: str, *parameters: str) -> None:
    """Ask port 9000 of a host."""
    values = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "POST" if body else "GET",
        "SCRIPT_FILENAME": script,
        "SCRIPT_NAME": script.removeprefix("/usr/share/wordpress"),
        "REQUEST_URI": script.removeprefix("/usr/share/wordpress"),
        "REMOTE_ADDR": "198.51.100.7",
        "HTTPS": "on",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body.encode())),
        **dict(parameter.split("=", 1) for parameter in parameters),
    }
    with socket.create_connection((host, 9000), timeout=30) as connection, connection.makefile("rb") as answer:
        connection.sendall(
            record(BEGIN, struct.pack("!HB5x", 1, 0))
            + record(PARAMETERS, b"".join(pair(*item) for item in values.items()))
            + record(PARAMETERS, b"")
            + (record(BODY, body.encode()) if body else b"")
            + record(BODY, b"")
        )
        while head := answer.read(8):
            _, kind, _, length, padding = struct.unpack("!BBHHBx", head)
            content = answer.read(length)
            answer.read(padding)
            if kind == OUTPUT:
                sys.stdout.buffer.write(content)
            if kind == END:
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
