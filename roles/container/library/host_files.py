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
    type: list
    elements: dict
    default: []
    suboptions:
      path: &path
        description: The directory.
        type: path
        required: true
      owner: &owner
        description: Number of its user; -1 for whoever it is.
        type: int
        default: 0
      group: &group
        description: Number of its group; -1 for whichever it is.
        type: int
        default: 0
      mode: &mode
        description: Its mode, octal.
        type: str
        default: "0755"
  trees:
    description:
      - Directories whose contents are exactly the declared files, either C(files) or C(digests).
    type: list
    elements: dict
    default: []
    suboptions: &tree
      path: *path
      owner: *owner
      group: *group
      mode: *mode
      file_mode:
        description: Mode of its files, octal.
        type: str
        default: "0644"
      files:
        description: Relative name of each file, to its text.
        type: dict
      digests:
        description: Relative name of each file, to the SHA-256 of any content.
        type: dict
      kept:
        description: Names of files that may lie there without being declared.
        type: list
        elements: str
        default: []
      stated:
        description: Whether RV(states) tells of the tree.
        type: bool
        default: false
  archive:
    description:
      - A tar archive on the target with the contents that C(digests) trees lack. A member's name is the position of
        the tree among O(trees), a slash, and the file's name.
      - Without it nothing is written to such a tree while it lacks a content; RV(wanted) says which ones to bring.
    type: path
  compared:
    description: Trees, like O(trees), that are only compared. RV(differences) and RV(states) tell of them.
    type: list
    elements: dict
    default: []
    suboptions: *tree
  contents:
    description:
      - Directories that C(image_contents) has brought, which are only compared, with what was recorded then.
        RV(differences), RV(states) and RV(others) tell of them.
    type: list
    elements: path
    default: []
  absent:
    description: Directories to remove with all they hold.
    type: list
    elements: path
    default: []
  belongings:
    description:
      - Directories all of whose entries belong to one user, who can use them, and so can a web server. Symbolic links
        are not followed.
      - Of one that does not exist yet nothing is said.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The directory.
        type: path
        required: true
      owner:
        description: Number of the user, and of its group.
        type: int
        required: true
      exact:
        description: Directories below it, two levels deep, whose entries have no other mode than 0755 and 0644.
        type: list
        elements: str
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
differences:
  description: What differs in those that are O(compared), and in O(contents), by the path of the tree.
  returned: always
  type: dict
  sample: {"/srv/pressdock/configuration/nginx": ["/srv/pressdock/configuration/nginx/nginx.conf: content"]}
states:
  description:
    - A digest of when each file of a tree was written last, by the path of the tree. It changes when a file is
      replaced, also by the same content. Empty where a file does not hold what is declared.
    - Of O(contents), what changes when they are brought.
  returned: always
  type: dict
  sample: {"/srv/pressdock/configuration/nginx": "2c26b46b68ffc68f"}
others:
  description: Names of what lies beside O(contents), by their path, without what belongs to them.
  returned: always
  type: dict
  sample: {"/srv/pressdock/volumes/core/0123456789abcdef": ["fedcba9876543210"]}
wanted:
  description: Names of the files whose content an O(archive) must bring, by the position of their tree.
  returned: always
  type: dict
  sample: {"0": ["index.html"]}
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

from ansible.module_utils import belongings, contents
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.whole_files import make_directory, replace_file


class Content(NamedTuple):
    """What a file is to hold: the SHA-256 of it, and where it can be read (None: nowhere yet)."""

    digest: str
    open: Callable[[], IO[bytes]] | None

    @classmethod
    def of(cls, text: str) -> Content:
        """Return the content that is this text."""
        raw = text.encode()
        return cls(hashlib.sha256(raw).hexdigest(), lambda: io.BytesIO(raw))


def file_digest(path: Path) -> str | None:
    """Return the SHA-256 of a regular file's content; nothing where there is none."""
    if path.is_symlink() or not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
            make_directory(path, mode=mode, owner=owner, group=group)
            return
        self._ownership(path, owner, group, mode)

    def tree(
        self,
        path: Path,
        owner: int,
        group: int,
        mode: int,
        file_mode: int,
        files: dict[str, str | Content],
        kept: Iterable[str] = (),
    ) -> None:
        """Make *path* hold exactly *files* (relative name to text or content), all owned by *owner*:*group*.

        Of what is not declared only *kept* may be there.
        What others are read with (pictures, styles) is written before pages, and removed last.
        """
        self.directory(path, owner, group, mode)
        wanted = {path / name for name in files}
        for name in files:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise OSError(f"{name!r} is not a name below {path}")
        folders = {parent for file in wanted for parent in file.parents if parent != path and path in parent.parents}
        for folder in sorted(folders):
            if folder.is_symlink() or folder.is_file():
                self.changes.append(f"{folder}: replaced what was no directory")
                if self.check:
                    continue
                folder.unlink()
                folder.mkdir()
            self.directory(folder, owner, group, mode)
        for name in sorted(files, key=lambda name: (name.endswith((".html", ".htm")), name)):
            content = files[name]
            wanted_content = Content.of(content) if isinstance(content, str) else content
            self._file(path / name, owner, group, file_mode, wanted_content)
        self._remove_undeclared(path, wanted | folders | {path / name for name in kept})

    def absent(self, path: Path) -> None:
        """Remove *path* with everything below it."""
        if path.is_symlink() or path.exists():
            self.changes.append(f"{path}: removed")
            if not self.check:
                self._remove(path)

    def _file(self, path: Path, owner: int, group: int, mode: int, content: Content) -> None:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            self.changes.append(f"{path}: replaced what was no regular file")
            if not self.check:
                self._remove(path)
        if file_digest(path) == content.digest:
            self._ownership(path, owner, group, mode)
            return
        if not self.changes or not self.changes[-1].startswith(f"{path}: "):
            self.changes.append(f"{path}: {'content' if path.exists() else 'created'}")
        if not self.check:
            if content.open is None:
                raise OSError(f"{path}: nobody brought its content")
            with content.open() as stream:
                replace_file(path, stream, mode=mode, owner=owner, group=group)

    def _ownership(self, path: Path, owner: int, group: int, mode: int) -> None:
        status = path.stat()
        if owner not in (-1, status.st_uid) or group not in (-1, status.st_gid):
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


def missing_contents(trees: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Name the files of the trees with digests that do not hold what they should, by the position of the tree."""
    missing = {
        str(position): [
            name for name, digest in tree["digests"].items() if file_digest(Path(tree["path"]) / name) != digest
        ]
        for position, tree in enumerate(trees)
        if tree["digests"] is not None
    }
    return {position: names for position, names in missing.items() if names}


def tree_contents(tree: dict[str, Any], position: int, archive: tarfile.TarFile | None) -> dict[str, str | Content]:
    """Return what a tree's files are to hold."""
    if tree["digests"] is None:
        return {name: str(content) for name, content in (tree["files"] or {}).items()}
    found: dict[str, str | Content] = {}
    members = {member.name: member for member in archive.getmembers() if member.isfile()} if archive else {}
    for name, digest in tree["digests"].items():
        member = members.get(f"{position}/{name}")
        found[name] = Content(digest, _reader(archive, member) if archive and member else None)
    return found


def _reader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    """Return what opens a member of an archive."""

    def opened() -> IO[bytes]:
        stream = archive.extractfile(member)
        if stream is None:
            raise OSError(f"{member.name} in the archive is no file")
        return stream

    return opened


def reconcile_tree(
    reconciler: Reconciler, tree: dict[str, Any], position: int, archive: tarfile.TarFile | None
) -> None:
    """Bring (or, with a reconciler that only checks, compare) one tree of the module's parameters."""
    reconciler.tree(
        Path(tree["path"]),
        tree["owner"],
        tree["group"],
        int(tree["mode"], 8),
        int(tree["file_mode"], 8),
        tree_contents(tree, position, archive),
        tree["kept"],
    )


def compare(trees: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what differs in each of the trees, by its path."""
    differences = {}
    for position, tree in enumerate(trees):
        comparer = Reconciler(check=True)
        reconcile_tree(comparer, tree, position, None)
        differences[tree["path"]] = comparer.changes
    return differences


def tree_state(tree: dict[str, Any]) -> str:
    """Digest when each file of a tree was written last; empty where one does not hold what is declared."""
    written = []
    for name, content in sorted(tree_contents(tree, 0, None).items()):
        path = Path(tree["path"]) / name
        if file_digest(path) != (Content.of(content) if isinstance(content, str) else content).digest:
            return ""
        written.append((name, path.stat().st_mtime_ns))
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()[:16]


def compare_contents(paths: list[Path]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return what differs in each of the directories that were brought, and their states, by path."""
    found = {str(path): contents.compared(path) for path in paths}
    return {path: lines for path, (lines, _) in found.items()}, {path: state for path, (_, state) in found.items()}


def reconcile(reconciler: Reconciler, parameters: dict[str, Any], archive: tarfile.TarFile | None) -> None:
    """Bring everything that the module's parameters declare into its state."""
    for entry in parameters["directories"]:
        reconciler.directory(Path(entry["path"]), entry["owner"], entry["group"], int(entry["mode"], 8))
    for position, entry in enumerate(parameters["trees"]):
        reconcile_tree(reconciler, entry, position, archive)
    for path in parameters["absent"]:
        reconciler.absent(Path(path))


def reconcile_belongings(reconciler: Reconciler, declared: list[dict[str, Any]]) -> list[str]:
    """Bring what lies in directories to their users; return what is left alone, with the reason."""
    left = []
    for entry in declared:
        path = Path(entry["path"])
        if path.is_dir() and not path.is_symlink():
            found = belongings.compare(str(path), entry["owner"], entry["exact"], reconciler.check)
            reconciler.changes += [f"{path}: {line}" for line in found.lines()]
            left += [f"{path}: {line}" for line in found.left]
    return left


def main() -> None:
    """Run the module."""
    ownership: dict[str, Any] = {
        "path": {"type": "path", "required": True},
        "owner": {"type": "int", "default": 0},
        "group": {"type": "int", "default": 0},
        "mode": {"type": "str", "default": "0755"},
    }
    tree: dict[str, Any] = {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ownership,
            "file_mode": {"type": "str", "default": "0644"},
            # The contents are secrets as a rule; the caller hides the whole task.
            "files": {"type": "dict"},
            "digests": {"type": "dict"},
            "kept": {"type": "list", "elements": "str", "default": []},
            "stated": {"type": "bool", "default": False},
        },
        "required_one_of": [("files", "digests")],
        "mutually_exclusive": [("files", "digests")],
    }
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "dict", "default": [], "options": ownership},
            "trees": tree,
            "compared": tree,
            "archive": {"type": "path"},
            "contents": {"type": "list", "elements": "path", "default": []},
            "absent": {"type": "list", "elements": "path", "default": []},
            "belongings": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "owner": {"type": "int", "required": True},
                    "exact": {"type": "list", "elements": "str", "default": []},
                },
            },
        },
        supports_check_mode=True,
    )
    reconciler = Reconciler(check=module.check_mode)
    archive = module.params["archive"]
    try:
        wanted = missing_contents(module.params["trees"])
        if wanted and not archive and not module.check_mode:
            module.exit_json(changed=False, changes=[], differences={}, states={}, others={}, wanted=wanted)
        with tarfile.open(archive) if archive else contextlib.nullcontext() as opened:
            reconcile(reconciler, module.params, opened)
        for line in reconcile_belongings(reconciler, module.params["belongings"]):
            module.warn(line)
        differences = compare(module.params["compared"])
        stated = [tree for tree in module.params["trees"] if tree["stated"]] + module.params["compared"]
        states = {tree["path"]: tree_state(tree) for tree in stated}
        brought = [Path(path) for path in module.params["contents"]]
        contents_differences, contents_states = compare_contents(brought)
        others = {str(path): contents.others(path) for path in brought}
    except (OSError, tarfile.TarError) as error:
        module.fail_json(msg=str(error), changes=reconciler.changes)
    module.exit_json(
        changed=bool(reconciler.changes),
        changes=reconciler.changes,
        differences=differences | contents_differences,
        states=states | contents_states,
        others=others,
        wanted={},
    )


if __name__ == "__main__":
    main()
