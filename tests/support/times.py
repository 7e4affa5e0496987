"""Where the time of a stage goes: its playbook runs and its tests, each as one line of JSON.

`scripts/stage` names the file in the environment variable STAGE_TIMES; without it nothing is written. Two write there:
molecule/shared/callback_plugins/stage_times.py for each run of a playbook, and the pytest plugin below for each
session. tests/gate/times.py adds the lines up.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from module_utils.engine_api import SOCKET, ask

if TYPE_CHECKING:  # the playbooks' environment, in which the callback runs, has no pytest
    import pytest

FILE = "STAGE_TIMES"
NANOSECONDS = 1e9


def own_processor_seconds() -> float:
    """Return the seconds of processor time of this process and of those of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def instance_processor_seconds() -> float:
    """Return the seconds of processor time of the scenario's instance and all in it; 0 where there is none."""
    scenario = os.environ.get("MOLECULE_SCENARIO_NAME")
    if not scenario:
        return 0.0
    name = f"{os.environ.get('PRESSDOCK_INSTANCE_PREFIX') or 'pressdock-molecule'}-{scenario}"
    answer = ask(SOCKET, f"/containers/{name}/stats?stream=false&one-shot=true")
    return float(answer["cpu_stats"]["cpu_usage"]["total_usage"]) / NANOSECONDS if answer else 0.0


class Clock:
    """Measures from when it is made until its line is written."""

    def __init__(self) -> None:
        self._begin = time.time()
        self._own = own_processor_seconds()
        self._instance = instance_processor_seconds()

    def write(self, **line: Any) -> None:
        """Write a line: what is given, begin and end (seconds of the epoch), and processor time (seconds)."""
        file = os.environ.get(FILE)
        if not file:
            return
        line |= {
            "begin": round(self._begin, 2),
            "end": round(time.time(), 2),
            "controller": round(own_processor_seconds() - self._own, 2),
            # An instance that was made or removed meanwhile has no difference.
            "instance": round(max(0.0, instance_processor_seconds() - self._instance), 2),
        }
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


class TestTimes:
    """Pytest plugin: one line a session, with the seconds of its files and those of the tests that break something."""

    __test__ = False

    def __init__(self) -> None:
        self._clock = Clock()
        self._files: dict[str, list[float]] = {}
        self._faults = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the duration of a test, or of what was made for it."""
        count = self._files.setdefault(report.nodeid.partition("::")[0], [0, 0.0])
        count[0] += report.when == "call"
        count[1] += report.duration
        if "destructive" in report.keywords:
            self._faults += report.duration

    def pytest_sessionfinish(self) -> None:
        """Write the line."""
        files: Mapping[str, Any] = {file: [int(n), round(seconds, 2)] for file, (n, seconds) in self._files.items()}
        self._clock.write(kind="tests", files=files, faults=round(self._faults, 2))


def register(config: pytest.Config) -> None:
    """Have a session measured, where somebody wants to know it: in a distributed one that of the controller."""
    if os.environ.get(FILE) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(TestTimes())
