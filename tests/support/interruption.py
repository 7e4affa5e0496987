"""Runs that are killed, and a visitor who notices when a site does not answer meanwhile.

Imported by the callback plugin `interruption` as well, so it needs nothing but the standard library and this folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.visits import PAGE, Client, Connection, Watch, trust

CONTROLLER_ACTIONS = {
    *("assert", "debug", "fail", "include_role", "include_tasks", "include_vars", "import_role", "import_tasks"),
    *("meta", "set_fact"),
}
"""Actions that leave the target as it is: a kill before such a task is one before the task after it."""


def families() -> dict[int, list[int]]:
    """Return the processes of this machine: parent to those that it has started."""
    found: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name stands in parentheses and may hold any character.
            parent = int(file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            found.setdefault(parent, []).append(int(file.parent.name))
    return found


def descendants(process: int) -> list[int]:
    """Return all that a process has started, nearest first: sessions and groups of their own do not hide them."""
    known = families()
    found = list(known.get(process, []))
    for number in found:
        found += known.get(number, [])
    return found


def kill_tree(process: int) -> None:
    """Kill a process, and all that it has started, by SIGKILL.

    They are stopped first, until no new one appears: none starts another one meanwhile.
    """
    stopped: list[int] = [] if process == os.getpid() else [process]
    for one in stopped:
        os.kill(one, signal.SIGSTOP)
    while found := [one for one in descendants(process) if one not in stopped]:
        for one in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGSTOP)
        stopped += found
    for one in [*(one for one in reversed(stopped) if one != process), process]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


@dataclass(frozen=True)
class Boundary:
    """The moment before a task of a run."""

    number: int
    task: str
    occurrence: int
    """How often a task of this name has begun by then: what a run does meanwhile differs, so numbers do."""
    process: int
    """Of the run, on the controller."""
    worked: bool
    """Whether something has run on a target since the boundary before this one."""

    @property
    def name(self) -> str:
        """Return what a run recognises it by, of whatever number it is there."""
        return f"{self.occurrence} {self.task}"


def read_boundaries(file: Path) -> list[Boundary]:
    """Read what the callback plugin `interruption` has written of one run."""
    return [Boundary(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def distinct(boundaries: list[Boundary]) -> list[Boundary]:
    """Leave out boundaries at which a target is as it was at the one before."""
    return [boundary for boundary in boundaries if boundary.worked]


@dataclass
class Visitor:
    """Asks for a page of a site again and again, and remembers when it got none.

    Connects to an address, whatever the site's name resolves to, and believes any certificate: whether it is the right
    one is asked elsewhere.
    """

    address: str
    port: int
    domain: str
    path: str = "/"
    pause: float = 0.2
    """Seconds between two questions."""
    patience: float = 10.0
    """Seconds that an answer may take."""
    _answers: int = 0
    _end: threading.Event = field(default_factory=threading.Event)
    _tls: ssl.SSLContext = field(default_factory=trust)
    _watch: Watch = field(default_factory=Watch)

    def ask(self) -> str:
        """Ask once; returns why there was no page, or nothing."""
        connection = Connection((self.address, self.port), self.domain, self._tls, self.patience)
        return Client(connection, contains=PAGE).ask(self.path)

    def outages(self) -> list[tuple[float, str]]:
        """Return the seconds of each time without a page, from the last one before to the first one after, and why."""
        return [(outage.length, outage.reason) for outage in self._watch.outages()]

    def wait(self, seconds: float) -> bool:
        """Wait until a question that is asked from now on is answered; tells whether one was."""
        before, end = self._answers, time.monotonic() + seconds
        while time.monotonic() < end:
            if self._answers > before:
                return True
            time.sleep(0.05)
        return False

    def forget(self) -> None:
        """Begin to count anew."""
        self._watch.forget()

    def _visit(self) -> None:
        while not self._end.is_set():
            reason = self.ask()
            self._watch.note(reason)
            self._answers += not reason
            self._end.wait(self.pause)

    @contextlib.contextmanager
    def visiting(self) -> Iterator[Visitor]:
        """Visit in the background."""
        thread = threading.Thread(target=self._visit, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()


def lock_holder(text: str) -> Any:
    """Return the process that a run's lock names."""
    return json.loads(text)["pid"]
