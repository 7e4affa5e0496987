# SPDX-License-Identifier: MIT
"""Must-use plugins of the operator: files and directories of the controller that every request of a site loads.

They are small, so a site's reconciler gets their contents with the declared state, and compares the files themselves
(roles/wordpress/files/must-use.php).
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.packages import PackageError, controller_path, directory_files, package_versions

LARGEST = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PART = re.compile(r"[A-Za-z0-9_@+,. -]{1,200}")


def read_must_use(path: str) -> tuple[dict[str, bytes], list[str]]:
    """Read one must-use plugin: its files by their names below `mu-plugins`, and those of a directory that are loaded.

    :raises PackageError: with the rule that it breaks.
    """
    place = controller_path(path)
    name = place.name
    if not _NAME.fullmatch(name):
        raise PackageError("must be called by letters, digits and . _ -, a letter or digit first")
    if place.is_file():
        if not name.endswith(".php"):
            raise PackageError("must be a PHP file or a directory")
        if name == "index.php":
            raise PackageError("is the name of a file that holds nothing: give it another one")
        content = place.read_bytes()
        return {name: content}, []
    files = directory_files(place)
    bad = [entry for entry in files if not all(_PART.fullmatch(part) for part in entry.split("/"))]
    if bad:
        raise PackageError(f"{bad[0]!r} is called by more than letters, digits, spaces and _ @ + , . -")
    mains = sorted(
        entry for entry in files if "/" not in entry and package_versions("plugin", name, {entry: files[entry]})
    )
    if not mains:
        raise PackageError("has no PHP file with a plugin's header, so WordPress would load nothing of it")
    return {f"{name}/{entry}": content for entry, content in files.items()}, [f"{name}/{main}" for main in mains]


def _declared(site: Mapping[str, Any], common: Any) -> list[str]:
    return list(dict.fromkeys([*(common or ()), *(site.get("mu_plugins") or ())]))


def must_use_files(site: Mapping[str, Any], common: Any) -> dict[str, Any]:
    """Return a site's must-use plugins as its reconciler takes them: contents (base64) by name, what is loaded."""
    files: dict[str, bytes] = {}
    loaded: list[str] = []
    for path in _declared(site, common):
        try:
            found, mains = read_must_use(path)
        except (PackageError, OSError) as error:
            raise AnsibleFilterError(f"must-use plugin {path}: {error}") from error
        files |= found
        loaded += mains
    return {"files": {name: base64.b64encode(files[name]).decode() for name in sorted(files)}, "loaded": sorted(loaded)}


def must_use_problems(sites: Any, common: Any) -> list[str]:
    """Check all declared must-use plugins: their files can be read, no two have one name, and none is large."""
    problems: list[str] = []
    read: dict[str, int] = {}

    def look(place: str, path: str) -> int:
        if path not in read:
            read[path] = 0
            try:
                files, _ = read_must_use(path)
                read[path] = sum(len(content) for content in files.values())
            except (PackageError, OSError) as error:
                problems.append(f"{place}: {path}: {error}")
        return read[path]

    def each(place: str, paths: Any) -> Iterable[tuple[str, str]]:
        listed = paths if isinstance(paths, list | tuple) else ()
        return [(f"{place}[{index}]", path) for index, path in enumerate(listed) if isinstance(path, str)]

    for_all = list(each("wordpress_mu_plugins", common))
    for place, path in for_all:
        look(place, path)
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        own = (
            list(each(f"wordpress_sites.{name}.mu_plugins", site.get("mu_plugins")))
            if isinstance(site, Mapping)
            else []
        )
        holders: dict[str, tuple[str, str]] = {}
        size = 0
        for place, path in [*for_all, *own]:
            called = controller_path(path).name
            if called in holders and holders[called][1] != path:
                problems.append(f"{place}: {path}: has the same name as {holders[called][1]} ({holders[called][0]})")
            elif called not in holders:
                size += look(place, path)
            holders.setdefault(called, (place, path))
        if size > LARGEST:
            problems.append(
                f"wordpress_sites.{name}.mu_plugins: {size} bytes with those of all sites: at most {LARGEST}; "
                "declare what is larger as a plugin"
            )
    return list(dict.fromkeys(problems))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filter."""
        return {"must_use_files": must_use_files}
