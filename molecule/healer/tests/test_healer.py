"""The healer on a machine: what hangs and what has fallen comes back by itself, and nothing else does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.support.runs import Runs
from tests.support.stack import Container, Stack
from tests.support.waiting import eventually

PATIENCE = 60
"""Seconds until a service is back."""
LOOKS = 15
"""Seconds in which the healer has looked twice."""


@pytest.fixture
def redis(stack: Stack) -> Iterator[Container]:
    """Return the patient: healthy at the beginning, and again at the end.

    The healer's memory of it is thrown away before: a restart a moment ago would make it wait.
    """
    stack.host.check_output("docker start quayside-redis && docker restart --time 1 quayside-healer")
    container = stack.container("redis")
    container.wait_for_health("healthy")
    # It has to have seen it so.
    assert eventually(lambda: heartbeat(stack) >= LOOKS, 3 * LOOKS)
    yield container
    stack.host.run("docker unpause quayside-redis; docker start quayside-redis")
    container.wait_for_health("healthy")


def heartbeat(stack: Stack) -> float:
    """Return for how many seconds the healer has been running."""
    started = stack.host.check_output("docker inspect --format '{{.State.StartedAt}}' quayside-healer")
    return float(stack.host.check_output(f"echo $(( $(date +%s) - $(date +%s --date {started}) ))"))


def answers(container: Container) -> bool:
    """Say whether the cache works."""
    container.forget()
    return container.state["Status"] == "running" and container.health == "healthy"


def heals(stack: Stack) -> list[dict[str, str]]:
    """Return what the healer has done so far."""
    text = stack.host.check_output(f"cat {stack.data_directory}/volumes/healer/heals.json")
    found: list[dict[str, str]] = json.loads(text)["heals"]
    return found


def freeze(container: Container, signal: str = "STOP") -> None:
    """Stop all processes of a container, or let them go on; one that has ended meanwhile was a health check."""
    container.forget()
    container.host.run(f"kill -{signal} {' '.join(str(process.pid) for process in container.processes)}")


@pytest.mark.destructive
def test_what_hangs_comes_back(stack: Stack, redis: Container) -> None:
    """And what was done is told: in the record, the figures, the log, and to those who look for drift."""
    before = heals(stack)
    first = redis.state["StartedAt"]
    freeze(redis)
    assert eventually(lambda: not answers(redis), PATIENCE), "control"
    assert eventually(lambda: answers(redis) and redis.state["StartedAt"] != first, PATIENCE), stack.logs()
    new = heals(stack)[len(before) :]
    assert [heal["container"] for heal in new] == ["quayside-redis"]
    # A health check that has just begun is one that is not stopped.
    assert re.fullmatch(r"unhealthy for \d+ s, and (all its processes are stopped|it does nothing)", new[0]["why"])
    figures = stack.host.check_output(f"cat {stack.data_directory}/volumes/healer/healer.prom")
    count = sum(heal["container"] == "quayside-redis" for heal in heals(stack))
    assert f'pressdock_healer_restarts{{container="quayside-redis"}} {count}\n' in figures
    assert f"restarting quayside-redis: {new[0]['why']}" in stack.container("healer").logs()


@pytest.mark.destructive
def test_a_main_process_that_hangs_alone_comes_back(stack: Stack, redis: Container) -> None:
    """Other processes of the container go on, such as its health check."""
    first = redis.state["StartedAt"]
    stack.host.check_output(f"kill -STOP {redis.main_pid}")
    assert eventually(lambda: answers(redis) and redis.state["StartedAt"] != first, PATIENCE), stack.logs()


@pytest.mark.destructive
def test_a_crash_after_a_reload_is_no_wish_to_stop(stack: Stack, redis: Container) -> None:
    """The engine takes any signal that it passes on for such a wish, and leaves the container down."""
    stack.host.check_output("docker kill --signal HUP quayside-redis")
    redis.forget()
    first = redis.state["StartedAt"]
    stack.host.check_output(f"kill -KILL {redis.main_pid}")
    assert eventually(lambda: answers(redis) and redis.state["StartedAt"] != first, PATIENCE), stack.logs()
    assert heals(stack)[-1]["why"] == "it had ended, and nobody had stopped it"


@pytest.mark.destructive
# To the engine, to kill is to stop.
@pytest.mark.parametrize("wish", ["stop --time 2", pytest.param("kill", marks=pytest.mark.thorough), "pause"])
def test_a_wish_is_respected(stack: Stack, redis: Container, wish: str) -> None:
    before = heals(stack)
    stack.host.check_output(f"docker {wish} quayside-redis")
    redis.forget()
    state = redis.state["Status"]
    assert state in {"exited", "paused"}, "control"
    assert not eventually(lambda: redis.forget() or redis.state["Status"] != state, 2 * LOOKS)  # type: ignore[func-returns-value]
    assert heals(stack) == before


@pytest.mark.destructive
def test_drift_tells_what_was_healed(stack: Stack, runs: Runs) -> None:
    """For a day. It needs no fault: the tests before have made some."""
    names = {heal["container"] for heal in heals(stack)}
    assert names == {"quayside-redis"}, "control"
    output = runs.play("strangers.yml", "--check").stdout
    assert re.search(r"container quayside-redis was started again by the healer, \d+ times? within a\s+day", output)
