# SPDX-License-Identifier: MIT
"""Record, on the controller, which versions of secrets a rotation has raised and how far it has come."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from filter_plugins.rotation import recorded, rotation_entries, rotation_text
from module_utils.whole_files import replace_file


class ActionModule(ActionBase):
    """Takes `path`, the file, and `entries`, secret to ``{version, step}``; none goes back to an earlier step.

    The file belongs to whoever runs Ansible, and is replaced at once: who is killed leaves the old or the new one.
    """

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Compare and write."""
        super().run(tmp, task_vars)
        path = Path(str(self._task.args["path"]))
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        after = rotation_text(recorded(rotation_entries(before, str(path)), dict(self._task.args["entries"])))
        changed = after != before
        if changed and not self._task.check_mode:
            try:
                replace_file(path, after.encode(), mode=0o600)
            except OSError as error:
                return {"failed": True, "msg": f"stack_rotation_file: {path}: {error.strerror}"}
        return {"changed": changed}
