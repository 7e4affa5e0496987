"""Faults of every container: killed, hung, stopped. They break the stack for a moment, so: test instances only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import pytest

from tests.support.stack import Container, Stack

pytestmark = pytest.mark.destructive
OLDEST_LOOK = 60
"""Seconds that the healer may take for a look (roles/healer/vars/main.yml)."""


def wait_for(condition: Callable[[Container], bool], containers: Iterable[Container], timeout: float) -> list[str]:
    """Wait until the condition holds for every container; return the names of those for which it does not.

    :param timeout: seconds.
    """
    waiting = list(containers)
    end = time.monotonic() + timeout
    while waiting and time.monotonic() < end:
        for container in waiting:
            container.forget()
        waiting = [container for container in waiting if not condition(container)]
        if waiting:
            time.sleep(0.5)
    return [container.name for container in waiting]


def healthy(container: Container) -> bool:
    """Say whether the engine counts the container as healthy."""
    return container.state["Status"] == "running" and container.health == "healthy"


def seconds(container: Container, *fields: str) -> float:
    """Add up durations of the declared health check; the engine counts in nanoseconds."""
    check = container.inspect["Config"]["Healthcheck"]
    return float(sum(check.get(field, 0) for field in fields)) / 1e9


@pytest.fixture(autouse=True)
def _healthy_again(stack: Stack) -> Iterable[None]:
    """Every fault starts and ends with a healthy stack."""
    assert wait_for(healthy, stack.containers(), 120) == []
    yield
    assert wait_for(healthy, stack.containers(), 120) == []


def test_killed_services_return(stack: Stack) -> None:
    """All at once, by the kernel (the engine takes its own kill command for a wish to stop)."""
    containers = stack.containers()
    before = {container.name: container.inspect["RestartCount"] for container in containers}
    pids = " ".join(str(container.main_pid) for container in containers)
    stack.host.check_output(f"kill -KILL {pids}")
    assert wait_for(lambda c: c.inspect["RestartCount"] > before[c.name] and healthy(c), containers, 120) == []


def hang(stack: Stack, containers: Iterable[Container], hung: set[int]) -> None:
    """Stop all processes of containers, and note them."""
    # Twice: until a service's first process is stopped it may start others.
    for _ in range(2):
        for container in containers:
            container.forget()
        processes = {process.pid for container in containers for process in container.processes} - hung
        assert min(processes | hung) > 1
        hung |= processes
        # One that has ended meanwhile was a health check.
        stack.host.run(f"kill -STOP {' '.join(map(str, processes))}")


def test_health_checks_go_red(stack: Stack) -> None:
    """Hung services (SIGSTOP to all their processes) are noticed, and count as healthy again once they go on."""
    containers = stack.containers()
    hung: set[int] = set()
    # One check may have begun a moment before; and what tells the healer's is how old its last look is.
    patience = max(2 * seconds(c, "Interval", "Timeout") for c in containers) + OLDEST_LOOK
    try:
        hang(stack, containers, hung)
        assert wait_for(lambda c: c.health == "unhealthy", containers, patience) == []
    finally:
        stack.host.run(f"kill -CONT {' '.join(map(str, hung))}")


def test_services_stop_within_their_grace_period(stack: Stack) -> None:
    """They end by themselves: the engine has no need to kill one."""
    containers = stack.containers()
    names = " ".join(container.name for container in containers)
    stack.host.check_output(f"echo {names} | xargs --max-args=1 --max-procs=8 docker stop")
    try:
        for container in containers:
            container.forget()
        killed = {c.name: c.state["ExitCode"] for c in containers if c.state["ExitCode"] in {137, 139}}
        assert killed == {}
    finally:
        stack.host.check_output(f"docker start {names}")
