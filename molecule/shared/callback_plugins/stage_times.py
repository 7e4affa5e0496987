"""Notes how long a playbook run took, and with what."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from tests.support.times import Clock

DOCUMENTATION = """
name: stage_times
type: notification
short_description: Write how long a run took to the file that STAGE_TIMES names
description:
  - One line of JSON for each run of a playbook, as tests/support/times.py writes it, with the seconds that it spent in
    building images and in waiting for containers to become healthy.
"""

KINDS = {"Build": "builds", "Bootstrap": "builds", "Await": "builds", "Healthy": "health"}
"""First word of a task's name (C(role : Word | What)) to what the run does in it."""


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "stage_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._clock = Clock()
        self._playbook = ""
        self._seconds = dict.fromkeys(KINDS.values(), 0.0)
        self._kind: str | None = None
        self._since = 0.0

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Note which playbook runs."""
        self._playbook = Path(playbook._file_name).name

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Count the seconds of the task before."""
        self._end_task()
        self._kind = KINDS.get(task.get_name().rpartition(" : ")[2].partition(" | ")[0])
        self._since = time.monotonic()

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002
        """Write the line."""
        self._end_task()
        seconds = {kind: round(seconds, 2) for kind, seconds in self._seconds.items()}
        self._clock.write(kind="run", playbook=self._playbook, check=bool(context.CLIARGS.get("check")), **seconds)

    def _end_task(self) -> None:
        if self._kind is not None:
            self._seconds[self._kind] += time.monotonic() - self._since
            self._kind = None
