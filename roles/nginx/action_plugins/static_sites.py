# SPDX-License-Identifier: MIT
"""Bring the static sites' files from the controller to the target: exactly, and only what differs."""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.plugins.action import ActionBase

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from filter_plugins import nginx


class ActionModule(ActionBase):
    """Takes `sources` (name to directory of the controller), `directory` (of the target, parent of theirs) and `owner`.

    The target is asked once, with digests. Only when it lacks something an archive of that follows. A site whose files
    cannot be read is left as it is: `unreadable` has its name and the reason, and nothing fails.
    """

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Compare, bring what is missing, and return what `host_files` says."""
        super().run(tmp, task_vars)
        wanted = self._task.args
        files: dict[str, dict[str, Path]] = {}
        unreadable: dict[str, str] = {}
        for name, source in wanted["sources"].items():
            try:
                files[name] = nginx.static_files(str(source))
            except AnsibleFilterError as error:
                unreadable[name] = str(error.message)
        names = sorted(files)
        trees = [
            {
                "path": f"{wanted['directory']}/{name}",
                "owner": int(wanted["owner"]),
                "group": int(wanted["owner"]),
                "mode": "0755",
                "file_mode": "0644",
                "digests": nginx.file_digests(files[name]),
            }
            for name in names
        ]
        result = self._host_files({"trees": trees}, task_vars)
        missing = result.get("wanted") or {}
        if missing and not result.get("failed"):
            with tempfile.NamedTemporaryFile(prefix="pressdock-", suffix=".tar") as local:
                with tarfile.open(fileobj=local, mode="w", dereference=True) as archive:
                    for position, missed in missing.items():
                        found = files[names[int(position)]]
                        for name in missed:
                            archive.add(found[name], arcname=f"{position}/{name}", recursive=False)
                local.flush()
                remote = self._connection._shell.join_path(self._make_tmp_path(), "static.tar")
                self._transfer_file(local.name, remote)
            try:
                result = self._host_files({"trees": trees, "archive": remote}, task_vars)
            finally:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        return {**result, "unreadable": unreadable}

    def _host_files(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        return dict(self._execute_module(module_name="host_files", module_args=arguments, task_vars=task_vars))
