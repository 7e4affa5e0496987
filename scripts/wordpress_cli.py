"""Run one command of WP-CLI for a site; see scripts/wp.

A playbook makes ready what the command needs and tells how it is started on its machine; this process starts it.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

PROJECT = Path(__file__).resolve().parents[1]
MEMORY = Path("/dev/shm")  # noqa: S108 -- a directory of our own is made in it
SUDO_ASKS, SUDO_LEARNS = ("sudo", "-n", "true"), ("sudo", "-S", "-p", "", "-v")
CANNOT_START = 125
"""The exit status for a command that could not be started, as the engine's own."""


def request(arguments: list[str], environment: Mapping[str, str]) -> tuple[str, list[str], list[str]]:
    """Return the site, the words of the command, and the options of the playbook.

    Raises ValueError where quotes do not match.
    """
    if arguments:
        site, words = arguments[0], arguments[1:]
    else:
        site, words = environment.get("PRESSDOCK_WP_SITE", ""), shlex.split(environment.get("PRESSDOCK_WP_ARGS", ""))
    options = shlex.split(environment.get("PRESSDOCK_WP_OPTIONS", ""))
    host = environment.get("PRESSDOCK_WP_HOST", "")
    return site, words, [*([f"--limit={host}"] if host else []), *options]


def sudo_password(options: list[str]) -> str:
    """Ask for the password that sudo wants on this machine; empty where it wants none, or nobody can be asked."""
    if (
        os.geteuid() == 0
        or not shutil.which("sudo")
        or subprocess.run(SUDO_ASKS, capture_output=True, check=False).returncode == 0
    ):
        return ""
    asks = [sys.executable, str(PROJECT / "scripts/asks_here.py"), str(PROJECT / "playbooks/wp.yml"), *options]
    if subprocess.run(asks, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode != 0:
        return ""
    try:
        # From the terminal, also where the input is a file.
        with Path("/dev/tty").open("r+b", buffering=0):
            return getpass.getpass("sudo's password: ")
    except OSError:
        return ""


def prepare(site: str, words: list[str], options: list[str], terminal: bool) -> dict[str, Any]:
    """Run the playbook; return what it has written.

    Raises SystemExit with what it has said, where it failed.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        file = Path(folder) / "command.json"
        password = sudo_password(options)
        if password:
            secret = Path(folder) / "password"
            secret.touch(mode=0o600)
            secret.write_text(password, encoding="utf-8")
            options = [*options, f"--become-password-file={secret}"]
        asked = {"site": site, "words": words, "terminal": terminal, "file": str(file)}
        done = subprocess.run(
            [PROJECT / "scripts/play", "playbooks/wp.yml", *options],
            env={**os.environ, "PRESSDOCK_WP_REQUEST": json.dumps(asked), "ANSIBLE_DEPRECATION_WARNINGS": "false"},
            # The command's own input; a terminal, where Ansible itself has to ask.
            stdin=None if sys.stdin.isatty() else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not file.exists():
            sys.stderr.write(done.stdout)
            if done.returncode == 0:
                sys.stderr.write("wp: inventory and limit leave no host of the group stack\n")
            raise SystemExit(CANNOT_START)
        return dict(json.loads(file.read_text(encoding="utf-8")))


def feed(password: str, source: IO[bytes], target: IO[bytes]) -> None:
    """Write the password's line, and then all of a stream as it comes."""
    try:
        target.write(password.encode() + b"\n")
        target.flush()
        while chunk := os.read(source.fileno(), 65536):
            target.write(chunk)
            target.flush()
        target.close()
    except OSError:
        # The command has ended without having read all.
        pass


def run(command: Mapping[str, Any]) -> int:
    """Start the command with this process's own streams; return its exit status."""
    argv, password = command["argv"], str(command["password"])
    if password and argv[0] == "sudo":
        # From now on sudo knows us; it says by itself where that is not so.
        subprocess.run(SUDO_LEARNS, input=password + "\n", text=True, capture_output=True, check=False)
    # A person's Ctrl-C is for the command, which gets it as well; any other wish to end is passed on.
    signal.signal(signal.SIGINT, lambda *_: None)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if command["feeds"] else None,
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: process.send_signal(received))
    if process.stdin is not None:
        threading.Thread(target=feed, args=(password, sys.stdin.buffer, process.stdin), daemon=True).start()
    status = process.wait()
    return status if status >= 0 else 128 - status


def main() -> int:
    """Return the exit status of the command."""
    try:
        site, words, options = request(sys.argv[1:], os.environ)
    except ValueError as error:
        sys.stderr.write(f"wp: ARGS: {error}: quote words as in a shell\n")
        return CANNOT_START
    command = prepare(site, words, options, sys.stdin.isatty() and sys.stdout.isatty())
    if "problem" in command:
        sys.stderr.write(f"wp: {command['problem']}\n")
        return CANNOT_START
    return run(command)


if __name__ == "__main__":
    status = main()
    # Not by way of the interpreter's end, which would wait for a thread that reads an input without an end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
