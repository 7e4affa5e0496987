"""Programs that run on a host while a test does something there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

BEGIN, END = 60, 90
"""Seconds within which a program has begun, and within which it has ended once it is told to."""


class Background:
    """A program on a host, which runs while the `with` block lasts; the block begins once the program has begun."""

    def __init__(
        self,
        host: Any,
        command: Sequence[str],
        *,
        files: Mapping[str, str] | None = None,
        begun: str = "",
        end: str = "",
        read: str = "cat",
    ) -> None:
        """Take what to run.

        :param files: what the directory holds in which it runs, by name.
        :param begun: what it prints then; otherwise anything that it prints says so.
        :param end: shell command that makes it end; otherwise SIGTERM does.
        :param read: command that reads the file with all that it has printed.
        """
        self._host, self._command, self._files = host, command, files or {}
        self._begun, self._end, self._read = begun, end, read
        self._folder = self._process = ""
        self.output = ""
        """What it has printed, errors included, once the block has ended."""

    def __enter__(self) -> Self:
        """Start it, and wait until it has begun."""
        self._folder = self._host.check_output("mktemp --directory")
        for name, content in self._files.items():
            self._host.check_output("printf %%s %s > %s", content, f"{self._folder}/{name}")
        words = " ".join(["%s"] * len(self._command))
        start = f"cd %s && {{ setsid {words} > output 2>&1 < /dev/null & echo $!; }}"
        self._process = self._host.check_output(start, self._folder, *self._command)
        begun = f"grep --quiet --fixed-strings {shlex.quote(self._begun)} {self._folder}/output"
        waiting = f"while {self._runs} && ! {begun}; do sleep 0.1; done; {begun}"
        if self._host.run(f"timeout {BEGIN} sh -c %s", waiting).rc != 0:
            self._stop()
            raise AssertionError(f"{self._command[0]} has not begun: {self.output}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, and keep what it has printed."""
        self._stop()

    @property
    def _runs(self) -> str:
        """A command that succeeds while the program runs: one that has ended may wait for who takes note of that."""
        return f"grep --quiet --no-messages '^State:.[^XZ]' /proc/{self._process}/status"

    def _stop(self) -> None:
        # One that has ended by itself has said why.
        self._host.run(self._end or f"kill {self._process}")
        ended = self._host.run(f"timeout {END} sh -c %s", f"while {self._runs}; do sleep 0.1; done")
        self.output = str(self._host.check_output(f"{self._read} %s", f"{self._folder}/output"))
        self._host.check_output("rm -r %s", self._folder)
        assert ended.rc == 0, f"{self._command[0]} does not end: {self.output}"
