#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Reconcile many directories and small files of the target in one module run."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_files
short_description: Reconcile many directories and small files in one run
description:
  - Brings directories, and trees of small files whose whole content is declared, into the declared state.
  - A tree is exact. Files and folders below it that are not declared are removed; wrong modes, owners and contents
    are repaired.
  - Exists because a service needs a dozen such files and every module run costs more than half a second.
options:
  directories:
    description:
      - Directories to create (parents included) and to keep with this owner and mode. Their contents are not touched.
      - Each takes C(path), C(owner) (numeric), C(group) (numeric) and C(mode) (octal text).
    type: list
    elements: dict
    default: []
  trees:
    description:
      - Directories whose contents are exactly the declared files.
      - Each takes C(path), C(owner), C(group), C(mode) (of the directory), C(file_mode) and C(files), a dict of
        relative file name to content.
    type: list
    elements: dict
    default: []
  absent:
    description: Directories to remove with all they hold.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    description: Contents may be secrets, so only the paths and the kind of change are reported.
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Place the secret of one service
  host_files:
    trees:
      - path: /srv/pressdock/secrets/redis
        owner: 611
        group: 611
        mode: "0500"
        file_mode: "0400"
        files:
          users.acl: "user default off\n"
"""

RETURN = r"""
changes:
  description: What differed, one short line each, without contents.
  returned: always
  type: list
  elements: str
  sample: ["/srv/pressdock/secrets/redis/users.acl: content"]
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


class Reconciler:
    """Compares declared paths with the file system and repairs what differs.

    With ``check`` set nothing is written; ``changes`` lists what would be.
    """

    def __init__(self, check: bool) -> None:
        self.check = check
        self.changes: list[str] = []

    def directory(self, path: Path, owner: int, group: int, mode: int) -> None:
        """Create *path* with its parents, or repair its owner and mode.

        Raises OSError when something that is no directory stands in its place.
        """
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise OSError(f"{path} exists and is not a directory")
        if not path.exists():
            self.changes.append(f"{path}: created")
            if self.check:
                return
            path.mkdir(parents=True)
            os.chown(path, owner, group)
            path.chmod(mode)
            return
        self._ownership(path, owner, group, mode)

    def tree(self, path: Path, owner: int, group: int, mode: int, file_mode: int, files: dict[str, str]) -> None:
        """Make *path* hold exactly *files* (relative name to text), all owned by *owner*:*group*."""
        self.directory(path, owner, group, mode)
        wanted = {path / name for name in files}
        for name in files:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise OSError(f"{name!r} is not a name below {path}")
        folders = {parent for file in wanted for parent in file.parents if parent != path and path in parent.parents}
        for folder in sorted(folders):
            self.directory(folder, owner, group, mode)
        for name, content in sorted(files.items()):
            self._file(path / name, owner, group, file_mode, content.encode())
        self._remove_undeclared(path, wanted | folders)

    def absent(self, path: Path) -> None:
        """Remove *path* with everything below it."""
        if path.is_symlink() or path.exists():
            self.changes.append(f"{path}: removed")
            if not self.check:
                self._remove(path)

    def _file(self, path: Path, owner: int, group: int, mode: int, content: bytes) -> None:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            self.changes.append(f"{path}: replaced what was no regular file")
            if not self.check:
                self._remove(path)
        if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
            self._ownership(path, owner, group, mode)
            return
        if not self.changes or not self.changes[-1].startswith(f"{path}: "):
            self.changes.append(f"{path}: {'content' if path.exists() else 'created'}")
        if not self.check:
            write_atomically(path, owner, group, mode, content)

    def _ownership(self, path: Path, owner: int, group: int, mode: int) -> None:
        status = path.stat()
        if (status.st_uid, status.st_gid) != (owner, group):
            self.changes.append(f"{path}: owner")
            if not self.check:
                os.chown(path, owner, group)
        if stat.S_IMODE(status.st_mode) != mode:
            self.changes.append(f"{path}: mode")
            if not self.check:
                path.chmod(mode)

    def _remove_undeclared(self, path: Path, declared: set[Path]) -> None:
        if not path.is_dir():
            return
        for entry in sorted(path.iterdir()):
            if entry not in declared:
                self.absent(entry)
            elif entry.is_dir() and not entry.is_symlink():
                self._remove_undeclared(entry, declared)

    @staticmethod
    def _remove(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_atomically(path: Path, owner: int, group: int, mode: int, content: bytes) -> None:
    """Replace *path* in one step: a reader, or a run killed half-way, sees the old file or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchown(descriptor, owner, group)
            os.fchmod(descriptor, mode)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def main() -> None:
    """Run the module."""
    ownership: dict[str, Any] = {
        "path": {"type": "path", "required": True},
        "owner": {"type": "int", "default": 0},
        "group": {"type": "int", "default": 0},
        "mode": {"type": "str", "default": "0755"},
    }
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": [], "options": ownership},
            "trees": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    **ownership,
                    "file_mode": {"type": "str", "default": "0644"},
                    # The contents are secrets as a rule; the caller hides the whole task.
                    "files": {"type": "dict", "required": True},
                },
            },
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    reconciler = Reconciler(check=module.check_mode)
    try:
        for entry in module.params["directories"]:
            reconciler.directory(Path(entry["path"]), entry["owner"], entry["group"], int(entry["mode"], 8))
        for entry in module.params["trees"]:
            reconciler.tree(
                Path(entry["path"]),
                entry["owner"],
                entry["group"],
                int(entry["mode"], 8),
                int(entry["file_mode"], 8),
                {name: str(content) for name, content in entry["files"].items()},
            )
        for path in module.params["absent"]:
            reconciler.absent(Path(path))
    except OSError as error:
        module.fail_json(msg=str(error), changes=reconciler.changes)
    module.exit_json(changed=bool(reconciler.changes), changes=reconciler.changes)


if __name__ == "__main__":
    main()
