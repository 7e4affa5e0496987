# SPDX-License-Identifier: MIT
"""Output of a converge: waiting reads as waiting, and the end lists what changed."""

from __future__ import annotations

import time
from typing import Any

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as DefaultCallback

DOCUMENTATION = """
name: pressdock
type: stdout
short_description: The default output, with progress of long steps and a list of changes at the end
description:
  - Prints what the default callback prints, except that a retry shows how long a step has been waited for
    (the default words it as a failure), and that the changed tasks are listed before the recap.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""


class CallbackModule(DefaultCallback):
    """The default callback with two differences, see DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "pressdock"

    def __init__(self) -> None:
        super().__init__()
        self._changes: dict[str, list[str]] = {}
        self._task_started = time.monotonic()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Note when the task began."""
        self._task_started = time.monotonic()
        super().v2_playbook_on_task_start(task, is_conditional)

    def v2_runner_retry(self, result: Any) -> None:
        """Say that the step is still waited for, in place of the default's "FAILED - RETRYING"."""
        elapsed = time.monotonic() - self._task_started
        self._display.display(
            f"waiting: [{result.host.get_name()}] {result.task.get_name()} ({elapsed:.0f} s)",
            color=constants.COLOR_VERBOSE,
        )

    def v2_runner_on_ok(self, result: Any) -> None:
        """Remember a change (a loop's items are remembered one by one)."""
        loops = bool(result.task.loop)
        if not loops and result.result.get("changed", False):
            self._remember(result, "")
        super().v2_runner_on_ok(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Remember a changed item of a loop."""
        if result.result.get("changed", False):
            # Where secrets are at work, Ansible replaces the label by a remark.
            hidden = result.result.get("_ansible_no_log", False)
            self._remember(result, "" if hidden else f" ({self._get_item_label(result.result)})")
        super().v2_runner_item_on_ok(result)

    def _remember(self, result: Any, item: str) -> None:
        self._changes.setdefault(result.host.get_name(), []).append(f"{result.task.get_name()}{item}")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """List the changes, then recap."""
        for host, changes in sorted(self._changes.items()):
            self._display.banner(f"CHANGES [{host}]")
            for change in changes:
                self._display.display(f"- {change}", color=constants.COLOR_CHANGED)
        super().v2_playbook_on_stats(stats)
