"""Speaks to Redis as a stranger or a user would, by its protocol alone.

    python3 client.py '{"address": ..., "login": [user, password] or null, "commands": [[word, ...], ...]}'

Prints the answers as JSON; an error is text that begins with "-". "repeat" sends the commands so many times, with {} in
their words replaced by the number, and prints only how many errors came. "until" sends them again and again, on the one
connection, until that file exists or the connection is closed, and prints how often, and the last answer.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path
from typing import Any


def written(words: list[str]) -> bytes:
    """Write a command."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def read(stream: Any) -> Any:
    """Read one answer."""
    line = stream.readline()
    if not line:
        return "closed"
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"$":
        return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode(errors="replace")
    if kind == b"*":
        return None if rest == "-1" else [read(stream) for _ in range(int(rest))]
    return {b"+": rest, b":": int(rest) if kind == b":" else 0, b"-": f"-{rest}"}[kind]


def main(wanted: dict[str, Any]) -> Any:
    """Log in, send the commands, return the answers."""
    connection = socket.create_connection((wanted["address"], wanted.get("port", 6379)), 10)
    stream = connection.makefile("rb")
    answers = []
    if wanted["login"]:
        connection.sendall(written(["AUTH", *wanted["login"]]))
        answers.append(read(stream))
    if "until" in wanted:
        times = 0
        while answers[-1] != "closed" and not (times and Path(wanted["until"]).exists()):
            times += 1
            try:
                connection.sendall(b"".join(written(words) for words in wanted["commands"]))
                answers = [read(stream) for _ in wanted["commands"]]
            except ConnectionError:
                answers = ["closed"]
            time.sleep(0.1)
        return [times, answers[-1]]
    if "repeat" not in wanted:
        for words in wanted["commands"]:
            connection.sendall(written(words))
            answers.append(read(stream))
        return answers
    errors = 0
    for number in range(wanted["repeat"]):
        for words in wanted["commands"]:
            connection.sendall(written([word.replace("{}", str(number)) for word in words]))
            errors += str(read(stream)).startswith("-")
    return errors


sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
