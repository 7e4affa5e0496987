# SPDX-License-Identifier: MIT
"""One run at a time on a target: a file that says who runs, and rules for when that is no longer true.

A run is a process of the controller, and its lock is as alive as that: nobody has to clean up after a run, however it
ended. Used by modules on the target and by actions on the controller.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import getpass
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

SESSIONS = ("sshd", "sshd-session")
"""Names of the process that serves a connection of ssh on its target."""


def place() -> str:
    """Name where this process's numbers of processes mean something: this start of the machine, this container."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def process(number: int) -> dict[str, Any] | None:
    """Return a process's number, parent, name and start (in ticks since the machine's); nothing if there is none."""
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may hold any character.
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] in ("Z", "X"):
        return None
    return {"pid": number, "parent": int(fields[1]), "name": name, "start": int(fields[19])}


def runs(number: int, start: int) -> bool:
    """Tell whether the process with this number that started then still runs."""
    found = process(number)
    return found is not None and found["start"] == start


def this_run(number: int) -> dict[str, Any]:
    """Describe a run.

    :param number: of Ansible's process on the controller.
    """
    found = process(number)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return {
        "user": user,
        "machine": socket.gethostname(),
        "place": place(),
        "pid": number,
        "start": found["start"] if found else 0,
        "since": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def session() -> dict[str, Any] | None:
    """Return the process of the connection that this module came by, where that is ssh's."""
    number = os.getpid()
    while number > 1:
        found = process(number)
        if found is None:
            return None
        if found["name"] in SESSIONS:
            return {"pid": number, "start": found["start"], "place": place()}
        number = found["parent"]
    return None


def is_dead(holder: dict[str, Any]) -> bool:
    """Tell whether a run is known, here, to have ended; one of elsewhere of which nothing is known counts as alive."""
    known = [one for one in (holder, holder.get("session")) if one and one.get("place") == place()]
    return any(not runs(one["pid"], one["start"]) for one in known)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two descriptions are of one run."""
    return all(one.get(name) == other.get(name) for name in ("machine", "place", "pid", "start"))


def acquire(path: str, run: dict[str, Any], over: dict[str, Any] | None, keep: bool) -> dict[str, Any] | None:
    """Write a run's name into the lock, unless another one's is there that may still be alive.

    :param run: as :func:`this_run` describes it.
    :param over: a run that the controller knows to have ended.
    :param keep: write nothing, only look (check mode).
    :return: the other run; nothing where the lock is this run's.
    :raises OSError: when the file cannot be read or written.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY if keep else os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except FileNotFoundError:
        if keep:
            return None
        raise
    # Two runs that come at the same time: one of them waits here for a moment, and then finds the other's name.
    with os.fdopen(descriptor, "r" if keep else "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            holder = json.load(file)
        except ValueError:
            # Empty, or the writer was killed: nobody began anything with it.
            holder = None
        known_dead = over is not None and holder is not None and same(holder, over)
        if isinstance(holder, dict) and not same(holder, run) and not is_dead(holder) and not known_dead:
            return holder
        if not keep:
            file.seek(0)
            file.truncate()
            json.dump({**run, "session": session()}, file)
            file.flush()
            os.fsync(file.fileno())
    return None


def take(ask: Callable[[dict[str, Any]], dict[str, Any]], host: str) -> dict[str, Any]:
    """Ask a target for its lock in this run's name, once more where this machine knows that the holder has ended.

    For actions: a task runs in a process of its own, whose parent is the run.

    :param ask: runs a module that calls :func:`acquire`, with these arguments more; returns what it returned.
    :param host: what the target is called.
    :return: the last result; a failed one, which is `locked`, where another run works on the target.
    """
    arguments: dict[str, Any] = {"run": this_run(os.getppid())}
    result = ask(arguments)
    if (holder := result.get("holder")) and is_dead(holder):
        result = ask({**arguments, "over": holder})
        holder = result.get("holder")
    return {"failed": True, "locked": True, "msg": refusal(host, holder)} if holder else dict(result)


def refusal(host: str, holder: dict[str, Any]) -> str:
    """Say, in a line, that another run works on a target."""
    who = f"{holder.get('user')} on {holder.get('machine')} (process {holder.get('pid')})"
    return (
        f"Another run works on {host}: {who}, since {holder.get('since')}. Nothing was changed. "
        "Wait until it has ended; the lock of a run that was killed is taken over."
    )
