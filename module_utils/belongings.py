# SPDX-License-Identifier: MIT
"""All that lies in a directory belongs to its user, who can use it, and so can whoever serves it.

Archives that root has unpacked leave files of root there, or of a user of another machine: PHP cannot write them, and
what only their owner may read is a page without its pictures.

Who may write in the directory may exchange anything in it at any moment, so nothing is addressed by a path: every
directory is opened below the one that holds it, never through a symbolic link, and what is repaired is what was opened.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

MOST = 300_000
"""Entries of a directory that are looked at: a second and a half, several times what a large site has."""
MOST_NAMED = 20
SERVED = re.compile(
    r"[^.].*\.(?:aac|avif|bmp|css|eot|flac|gif|heic|heif|ico|jpe?g|js|m4[av]|mjs|mov|mp[34]|mpeg|og[agv]|otf|pdf|png|svg|ttf|vtt|wav"
    r"|web[mp]|woff2?)",
    re.IGNORECASE,
)
"""What a web server sends. Of other files (archives, logs) one that only its owner reads may be meant so."""
SERVED_FROM = ("plugins", "themes", "uploads")

OWNER, UNUSABLE, UNREADABLE, OTHER_MODE, SET_ID = range(5)
WORDS = {
    OWNER: "of another owner",
    UNUSABLE: "that its user cannot use",
    UNREADABLE: "that the web server cannot read",
    OTHER_MODE: "of what is declared with another mode",
    SET_ID: "with setuid or setgid",
}


@dataclass
class Findings:
    """What differs: by its kind, the relative paths. Each has been repaired, unless it was a check."""

    found: dict[int, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    """What is left alone, with the reason."""
    entries: int = 0

    def note(self, kind: int, path: str) -> None:
        """Note one entry."""
        self.found.setdefault(kind, []).append(path)

    def lines(self) -> list[str]:
        """Say what differs, a line for each kind: how many there are, and one of them; each that has a set-id bit."""
        lines = []
        for kind, paths in sorted(self.found.items()):
            entries = "entry" if len(paths) == 1 else "entries"
            such_as = "" if kind == SET_ID or len(paths) == 1 else "such as "
            shown = ", ".join(sorted(paths)[: MOST_NAMED if kind == SET_ID else 1])
            lines.append(f"{len(paths)} {entries} {WORDS[kind]}: {such_as}{shown}")
        return lines


def wanted_mode(path: str, mode: int, directory: bool, foreign: bool, exact: bool) -> int:
    """Return the mode that an entry is to have: what it has, with the bits that are missing.

    :param foreign: whether it belonged to somebody else, whose mode was meant for another machine.
    :param exact: whether it is part of what is declared, all of which is read by everybody and written by its owner.
    """
    mode &= 0o7777
    if exact:
        return 0o755 if directory else 0o644
    served = path.split("/", maxsplit=1)[0] in SERVED_FROM
    if directory and not foreign and "/" not in path:
        # Those that WordPress expects are the reconciler's.
        return mode
    if directory:
        hidden = any(part.startswith(".") for part in path.split("/"))
        return mode | (0o755 if foreign or (served and not hidden) else 0o700)
    readable = foreign or (served and SERVED.fullmatch(path.rpartition("/")[2]))
    # A program with other rights than its caller's has no place here.
    return (mode | (0o644 if readable else 0o600)) & 0o1777


def compare(top: str, owner: int, exact: Collection[str], check: bool, most: int = MOST) -> Findings:
    """Compare all that lies below a directory, and repair it.

    :param exact: relative directories whose entries are declared one by one.
    :raises OSError: where it is no directory that can be opened. What vanishes meanwhile is no matter.
    """
    findings = Findings()
    root = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    waiting: list[tuple[int, str]] = [(root, "")]
    try:
        while waiting:
            folder, path = waiting.pop()
            try:
                for name, found in _entries(folder):
                    findings.entries += 1
                    if findings.entries > most:
                        findings.left.append(f"more than {most} entries: the rest was not looked at")
                        return findings
                    below = f"{path}{name}"
                    _judge(findings, folder, name, below, found, owner, _within(below, exact), check)
                    if stat.S_ISDIR(found.st_mode):
                        try:
                            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                            waiting.append((os.open(name, flags, dir_fd=folder), f"{below}/"))
                        except OSError:
                            continue
            finally:
                os.close(folder)
    finally:
        for folder, _ in waiting:
            os.close(folder)
    return findings


def _entries(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the entries of an open directory with what is known of them, not of what links point to."""
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except OSError:
                continue


def _within(path: str, folders: Collection[str]) -> bool:
    """Tell whether a path is one of some directories, or below one."""
    parts = path.split("/", 2)
    return len(parts) > 1 and f"{parts[0]}/{parts[1]}" in folders


def _judge(
    findings: Findings, folder: int, name: str, path: str, found: os.stat_result, owner: int, exact: bool, check: bool
) -> None:
    """Note what differs in one entry, and repair it."""
    directory, file = stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode)
    foreign = (found.st_uid, found.st_gid) != (owner, owner)
    mode = found.st_mode & 0o7777
    wanted = wanted_mode(path, mode, directory, foreign, exact) if directory or file else mode
    if not foreign and wanted == mode:
        return
    if file and foreign and found.st_nlink > 1:
        # It has another name somewhere, which may be a file of the machine's.
        findings.left.append(f"{path}: of another owner, with more than one name (hard links)")
        return
    for kind in _kinds(mode, wanted, file=file, foreign=foreign, exact=exact):
        findings.note(kind, path)
    if check:
        return
    try:
        if foreign:
            os.chown(name, owner, owner, dir_fd=folder, follow_symlinks=False)
        if (directory or file) and (wanted != mode or foreign):
            _change_mode(folder, name, found, wanted)
    except OSError as error:
        # Gone, or another one by now: the next run looks again.
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise


def _kinds(mode: int, wanted: int, *, file: bool, foreign: bool, exact: bool) -> Iterator[int]:
    """Yield what is wrong with an entry."""
    if file and mode & 0o6000:
        yield SET_ID
    if foreign:
        yield OWNER
    elif exact:
        yield OTHER_MODE
    elif (wanted ^ mode) & 0o700:
        yield UNUSABLE
    elif (wanted ^ mode) & 0o077:
        yield UNREADABLE


def _change_mode(folder: int, name: str, found: os.stat_result, mode: int) -> None:
    """Give an entry a mode, if it is still the one that was looked at."""
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        now = os.fstat(opened)
        if (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino):
            os.fchmod(opened, mode)
    finally:
        os.close(opened)
