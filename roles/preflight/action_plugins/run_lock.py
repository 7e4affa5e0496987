# SPDX-License-Identifier: MIT
"""Make this run the only one that works on the target, or fail with a line that says who runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from module_utils import run_lock


class ActionModule(ActionBase):
    """Takes `path`, a file of the target."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the target, and again where this machine knows that the other run has ended."""
        super().run(tmp, task_vars)

        def ask(who: dict[str, Any]) -> dict[str, Any]:
            arguments = {"path": self._task.args["path"], **who}
            return dict(self._execute_module(module_name="run_lock", module_args=arguments, task_vars=task_vars))

        return run_lock.take(ask, str((task_vars or {}).get("inventory_hostname")))
