# SPDX-License-Identifier: MIT
"""Pack a plugin or theme of the controller and put it into a site's container."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.plugins.action import ActionBase

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from filter_plugins.packages import package_archive


class ActionModule(ActionBase):
    """Takes `site` (one of wordpress_sites), `digest` (of the files), `container`, `container_path` and `owner`.

    Where it cannot, `undelivered` says why, and nothing fails: a package of one site holds up no other one.
    """

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Transfer the archive to the target, and from there into the container."""
        super().run(tmp, task_vars)
        try:
            result = self._deliver(self._task.args, task_vars)
        except (AnsibleFilterError, OSError) as error:
            # What lies there was read when the run began; meanwhile somebody has changed it.
            return {"changed": False, "undelivered": f"a package could not be packed: {error}"}
        if result.get("failed"):
            return {"changed": False, "undelivered": f"a package could not be delivered: {result.get('msg')}"}
        return {name: value for name, value in result.items() if name != "diff"}

    def _deliver(self, wanted: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile(prefix="pressdock-", suffix=".zip") as local:
            local.write(package_archive(wanted["site"], wanted["digest"]))
            local.flush()
            remote = self._connection._shell.join_path(self._make_tmp_path(), "package.zip")
            self._transfer_file(local.name, remote)
        try:
            result = self._execute_module(
                module_name="community.docker.docker_container_copy_into",
                module_args={
                    "container": wanted["container"],
                    "path": remote,
                    "container_path": wanted["container_path"],
                    "owner_id": int(wanted["owner"]),
                    "group_id": int(wanted["owner"]),
                    "mode": 0o600,
                    "force": True,
                    # No diff of an archive.
                    "_max_file_size_for_diff": 1,
                },
                task_vars=task_vars,
            )
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return dict(result)
