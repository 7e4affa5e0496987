# SPDX-License-Identifier: MIT
"""What an image ships to a volume: how it lies there, and how it lay there when it was brought.

A directory that was brought has its record beside it: what it held then. A file that is, by inode, size and times, the
one that was recorded is not read again; the time of its last change cannot be set back by whoever edits it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

UNLIKE = "neither a file nor a directory"
"""Stands for the digest of what no image ships, such as a link."""

ENTRY = {"mode", "owner", "digest", "seen"}
Entries = Mapping[str, Mapping[str, Any]]
"""Name below the directory (with a slash at the end of a directory's) to an ENTRY."""


def record_path(directory: Path) -> Path:
    """Return where the record of a directory lies."""
    return directory.with_name(f"{directory.name}.json")


def unfinished_record(directory: Path) -> Path:
    """Return where the record of a directory is written."""
    return directory.with_name(f".{directory.name}.json")


def temporary_paths(directory: Path) -> tuple[Path, Path]:
    """Return where a directory lies until it is complete, and where the one before it is put aside."""
    return directory.with_name(f".{directory.name}.new"), directory.with_name(f".{directory.name}.old")


def described(directory: Path, known: Entries) -> dict[str, dict[str, Any]]:
    """Describe all that lies in a directory, and the directory itself as `./`.

    :param known: entries whose digest still holds if they were seen as they are now.
    """
    found = {"./": _described(directory, directory.lstat(), None)}
    for name, path, status in _below(directory, ""):
        found[name] = _described(path, status, known.get(name))
    return found


def _below(folder: Path | str, prefix: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Walk through a directory without following a link."""
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                yield f"{prefix}{entry.name}/", entry.path, status
                yield from _below(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.path, status


def _described(path: Path | str, status: os.stat_result, known: Mapping[str, Any] | None) -> dict[str, Any]:
    digest, seen = "", []
    if stat.S_ISREG(status.st_mode):
        seen = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
        if known and known["seen"] == seen:
            digest = known["digest"]
        else:
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    elif not stat.S_ISDIR(status.st_mode):
        digest = UNLIKE
    return {
        "mode": stat.S_IMODE(status.st_mode),
        "owner": [status.st_uid, status.st_gid],
        "digest": digest,
        "seen": seen,
    }


def recorded(directory: Path) -> dict[str, Any]:
    """Return a directory's record, ``brought`` and ``entries``; nothing where there is none that can be read."""
    try:
        record = json.loads(record_path(directory).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    entries = record.get("entries") if isinstance(record, dict) else None
    if not isinstance(entries, dict) or not record.get("brought"):
        return {}
    complete = all(isinstance(entry, dict) and entry.keys() == ENTRY for entry in entries.values())
    return record if complete else {}


def compared(directory: Path) -> tuple[list[str], str]:
    """Say what is not as it was brought, and return what is another text each time a directory is brought.

    :return: a line for each difference, and the text, which is empty where something differs.
    """
    record = recorded(directory)
    if directory.is_symlink() or not directory.is_dir():
        found = [f"{directory}: created"]
    elif not record:
        found = [f"{directory}: incomplete"]
    else:
        found = differences(directory, record["entries"])
    return found, "" if found else str(record["brought"])


def differences(directory: Path, wanted: Entries) -> list[str]:
    """Say, a line each, what differs from a record; of a directory that comes or goes, not what is in it."""
    found = described(directory, wanted)
    lines = [(name, "created") for name in _outermost(wanted.keys() - found.keys())]
    lines += [(name, "removed") for name in _outermost(found.keys() - wanted.keys())]
    for name in wanted.keys() & found.keys():
        if found[name]["digest"] != wanted[name]["digest"]:
            lines.append((name, "content"))
        else:
            lines += [(name, kind) for kind in ("mode", "owner") if found[name][kind] != wanted[name][kind]]
    return [f"{os.path.normpath(directory / name)}: {what}" for name, what in sorted(lines)]


def _outermost(names: set[str]) -> list[str]:
    """Leave out what lies in a directory that is itself among the names."""
    kept: list[str] = []
    for name in sorted(names):
        if not (kept and kept[-1].endswith("/") and name.startswith(kept[-1])):
            kept.append(name)
    return kept


def others(directory: Path) -> list[str]:
    """Name what else lies beside a directory, but for what its being brought anew removes."""
    if not directory.parent.is_dir():
        return []
    record = record_path(directory)
    own = {path.name for path in (directory, record, unfinished_record(directory), *temporary_paths(directory))}
    return sorted(path.name for path in directory.parent.iterdir() if path.name not in own)
