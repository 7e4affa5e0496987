"""Remembers what each playbook run changed, so that the tests can ask for it; and dies where a test wants it to."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: molecule_record
type: notification
short_description: Write one line of JSON per run to runs.jsonl, and die before a named task
description:
  - Each run of a playbook appends one line to C(runs.jsonl) in molecule's ephemeral directory, with the playbook's
    name, whether it was a check run, its changes (task, item, the options that a diff
    names, the lines of a message) and its failures.
  - With the environment variable C(PRESSDOCK_DIE_BEFORE) set to a task's name, the run kills itself, and all that it
    started on the controller, before that task - as a power cut would.
"""


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "molecule_record"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._playbook = ""
        self._changes: list[dict[str, Any]] = []
        self._failures: list[str] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Note which playbook runs."""
        self._playbook = Path(playbook._file_name).name

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Die here, if that is wanted."""
        if os.environ.get("PRESSDOCK_DIE_BEFORE", "") == task.get_name().rpartition(" : ")[2]:
            os.killpg(0, signal.SIGKILL)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a changed task, unless its items say more."""
        if result.result.get("changed") and "results" not in result.result:
            self._note(result, "")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Note a changed item."""
        if result.result.get("changed"):
            self._note(result, str(result.result.get("_ansible_item_label") or ""))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note a failed task."""
        if not ignore_errors:
            self._failures.append(result.task.get_name())

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002
        """Write the line."""
        directory = os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY")
        if directory:
            line = {
                "playbook": self._playbook,
                "check": bool(context.CLIARGS.get("check")),
                "changes": self._changes,
                "failures": self._failures,
            }
            with (Path(directory) / "runs.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _note(self, result: Any, item: str) -> None:
        # Modules that compare option by option say in their diff which options differ.
        diff = result.result.get("diff") or {}
        after = diff.get("after") if isinstance(diff, dict) else None
        options = sorted(after) if isinstance(after, dict) else []
        # Tasks that name what another one has found say it in lines.
        message = result.result.get("msg")
        lines = message if isinstance(message, list) and not result.result.get("_ansible_no_log") else []
        self._changes.append(
            {
                "task": result.task.get_name().rpartition(" : ")[2],
                "item": item,
                "options": options,
                "lines": [str(line) for line in lines],
            }
        )
