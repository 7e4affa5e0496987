#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Wait until containers are healthy, by the clock, and say why where they do not become it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: container_wait
short_description: Wait until containers are healthy
description:
  - Asks the engine for all of them until each is healthy, or the time is over, or one has ended again and again or is
    not there. A failure names each container that is not healthy, how long it was waited for, and what it has said.
  - One module in place of one for each question, because every module run costs more than half a second; and the time
    is that of a clock, not a number of questions.
options:
  containers:
    description: The engine's names of the containers.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds that they may take.
    type: int
    required: true
  log_lines:
    description: Last lines of the log of a container that does not become healthy.
    type: int
    default: 40
  tolerant:
    description: Name the containers that do not become healthy, in RV(unhealthy), and do not fail for them.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Wait for two services
  container_wait:
    containers: [pressdock-mariadb, pressdock-redis]
    timeout: 180
  become: true
"""

RETURN = r"""
reports:
  description: What each container's health check printed last, by the engine's name of the container.
  returned: success
  type: dict
  sample: {"pressdock-redis": "PONG"}
unhealthy:
  description: What is known of each container that did not become healthy, by the engine's name. Only with O(tolerant).
  returned: success
  type: dict
seconds:
  description: How long it took.
  returned: success
  type: float
"""

import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, ask, ask_again
from ansible.module_utils.health import check_of, run_check

PAUSE = 0.5
"""Seconds between two questions: fractions of what the quickest health check takes to be asked again."""
AT_ONCE = 8
"""Containers that are asked at the same time."""
MOST_RESTARTS = 2
"""A service that keeps falling over will not recover by waiting."""

States = dict[str, dict[str, Any]]
"""Name of a container to what the engine says of it; nothing where there is none."""


def look(names: Iterable[str], path: str = SOCKET) -> States:
    """Return the state of each container.

    :raises OSError: when the engine does not answer.
    """
    found = {name: ask(path, f"/containers/{name}/json") or {} for name in names}
    if not all(found.values()):
        # One that is missing, or an engine that is?
        ask_again(path, "/version")
    unasked = [name for name, inspected in found.items() if is_unasked(inspected)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return found | dict(zip(unasked, pool.map(asked, unasked, [found[name] for name in unasked]), strict=True))


def is_unasked(inspected: Mapping[str, Any]) -> bool:
    """Say whether it would take an engine's whole interval to see that a container is healthy.

    So it is where an engine before 25.0 has not asked a new one yet, and where the last answer, of some time ago, was a
    bad one.
    """
    check = check_of(inspected)
    status = health(inspected).get("Status")
    late = status == "unhealthy" or (status == "starting" and not check.get("StartInterval"))
    return late and bool(check.get("Test")) and inspected["State"].get("Status") == "running"


def asked(name: str, inspected: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a container with what its health check says now."""
    healthy, output = run_check(name, inspected)
    answer = {"Status": "healthy" if healthy else health(inspected)["Status"], "Log": [{"Output": output}]}
    return {**inspected, "State": {**inspected["State"], "Health": answer}}


def health(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the engine says of a container's health."""
    return dict((inspected.get("State") or {}).get("Health") or {})


def is_healthy(inspected: Mapping[str, Any]) -> bool:
    """Say whether there is nothing left to wait for."""
    return health(inspected).get("Status") == "healthy"


def is_hopeless(inspected: Mapping[str, Any]) -> bool:
    """Say whether waiting is of no use."""
    return not inspected or int(inspected.get("RestartCount") or 0) > MOST_RESTARTS


def report(inspected: Mapping[str, Any]) -> str:
    """Return what a container's health check printed last."""
    return str(((health(inspected).get("Log") or [{}])[-1]).get("Output") or "").strip()


def wait(
    names: list[str],
    timeout: float,
    ask_engine: Callable[[Iterable[str]], States],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[States, float]:
    """Wait until each container is healthy or hopeless, or the time is over.

    An engine that does not answer is asked again: it may have been restarted a moment ago.

    :param timeout: seconds.
    :return: the last states, and the seconds that it took.
    :raises OSError: when the engine does not answer at the end.
    """
    begin = clock()
    found: States = {}
    while True:
        waiting = [name for name in names if name not in found or not is_healthy(found[name])]
        over = clock() - begin >= timeout
        try:
            found |= ask_engine(waiting)
        except OSError:
            if over:
                raise
        else:
            if over or all(is_healthy(found[name]) or is_hopeless(found[name]) for name in names):
                return found, clock() - begin
        sleep(PAUSE)


def explanation(name: str, inspected: Mapping[str, Any], seconds: float, log: str) -> str:
    """Say what is known of a container that is not healthy."""
    if not inspected:
        return f"{name} did not become healthy: there is no such container."
    state = inspected.get("State") or {}
    return (
        f"{name} did not become healthy: waited {seconds:.0f} s for it.\n"
        f"State: {state.get('Status')}, exit code {state.get('ExitCode')}"
        f"{', killed for lack of memory' if state.get('OOMKilled') else ''}, "
        f"restarted {inspected.get('RestartCount') or 0} times.\n"
        f"Last health check: {report(inspected) or 'none'}\n"
        f"Last log lines:\n{log}"
    )


def log_of(name: str, lines: int) -> str:
    """Return the last lines that a container has written."""
    done = subprocess.run(  # noqa: S603
        ["docker", "logs", "--tail", str(lines), name],  # noqa: S607
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout.strip()


def main() -> None:
    """Wait, and say what came of it."""
    module = AnsibleModule(
        argument_spec={
            "containers": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "required": True},
            "log_lines": {"type": "int", "default": 40},
            "tolerant": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    names = module.params["containers"]
    try:
        found, seconds = wait(names, module.params["timeout"], look)
    except OSError as error:
        module.fail_json(msg=f"waited {module.params['timeout']} s for {', '.join(names)}: {error}")
    failed = [name for name in names if not is_healthy(found[name])]
    said = {n: explanation(n, found[n], seconds, log_of(n, module.params["log_lines"])) for n in failed}
    if failed and not module.params["tolerant"]:
        module.fail_json(msg="\n".join(said.values()))
    reports = {name: report(found[name]) for name in names if name not in said}
    module.exit_json(changed=False, reports=reports, unhealthy=said, seconds=seconds)


if __name__ == "__main__":
    main()
