"""Kills a run, with all that it has started on the controller, before a given task."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from tests.support.interruption import CONTROLLER_ACTIONS, Boundary, kill_tree

DOCUMENTATION = """
name: interruption
type: notification
short_description: Note the boundaries between a run's tasks, and die at one of them
description:
  - With the environment variable C(PRESSDOCK_BOUNDARIES) each task that is about to start is a line of JSON in that
    file, as tests/support/interruption.py reads it.
  - With C(PRESSDOCK_KILL_AT), for example C(2 Reload), the run dies by SIGKILL before the task of that name
    begins for the second time, and all that it has started on the controller with it, as by a power cut; what it has
    started on a target may go on.
  - With C(PRESSDOCK_KILL_AFTER_CHANGES) it dies so before the task that follows that many changed ones.
"""


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "interruption"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._begun: Counter[str] = Counter()
        self._worked = False
        self._changes = 0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Note the boundary, and die at it if that is wanted."""
        self._begun[task.get_name()] += 1
        boundary = Boundary(
            self._number, task.get_name(), self._begun[task.get_name()], os.getpid(), worked=self._worked
        )
        file = os.environ.get("PRESSDOCK_BOUNDARIES")
        if file:
            with Path(file).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(boundary)) + "\n")
        changes = os.environ.get("PRESSDOCK_KILL_AFTER_CHANGES")
        if os.environ.get("PRESSDOCK_KILL_AT") == boundary.name or (changes and self._changes >= int(changes)):
            kill_tree(os.getpid())
        self._number += 1
        self._worked = False

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note that something ran on a target, and whether it has changed that."""
        self._note(result)
        self._changes += bool(result.result.get("changed"))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """Note that something ran on a target."""
        self._note(result)

    def _note(self, result: Any) -> None:
        if result.task.action.rpartition(".")[2] not in CONTROLLER_ACTIONS:
            self._worked = True
