"""Waiting for containers: for all at once, by the clock, and not for what will not come."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from module_utils import health
from tests.support.load import load

module = load("roles/container/library/container_wait.py")

ANSWER_TAKES = 0.1


def inspected(status: str, *, restarts: int = 0, says: str = "") -> dict[str, Any]:
    """Return what the engine says of a container."""
    health = {"Status": status, "Log": [{"Output": "an older one"}, {"Output": f"{says}\n"}]}
    return {"RestartCount": restarts, "State": {"Status": "running", "ExitCode": 7, "Health": health}}


class Machine:
    """A clock, and an engine whose containers become healthy at some time (seconds; None: never)."""

    def __init__(self, **healthy_at: float | None) -> None:
        self.time = 0.0
        self.healthy_at = healthy_at
        self.away_until = 0.0
        self.asked: list[list[str]] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds

    def look(self, names: Iterable[str]) -> Any:
        """Answer as the engine does, after some time."""
        self.asked.append(list(names))
        self.time += ANSWER_TAKES
        if self.time < self.away_until:
            raise OSError("away")
        return {name: self.state(name) for name in self.asked[-1]}

    def state(self, name: str) -> dict[str, Any]:
        """Return the state of a container now."""
        at = self.healthy_at[name]
        return inspected("starting" if at is None or self.time < at else "healthy")

    def wait(self, timeout: float) -> Any:
        """Wait for all."""
        return module.wait(list(self.healthy_at), timeout, self.look, lambda: self.time, self.sleep)


def test_waits_for_the_last_one_and_no_longer() -> None:
    machine = Machine(one=0, two=20.0, three=8.0)
    found, seconds = machine.wait(180)
    assert all(map(module.is_healthy, found.values()))
    assert set(found) == {"one", "two", "three"}
    assert 20 <= seconds < 21


def test_one_that_is_healthy_is_not_asked_again() -> None:
    machine = Machine(one=0, two=3.0)
    machine.wait(180)
    assert machine.asked[0] == ["one", "two"]
    assert machine.asked[1:] == [["two"]] * (len(machine.asked) - 1)


@pytest.mark.parametrize("timeout", [12, 60])
def test_the_time_is_the_clock_s(timeout: float) -> None:
    """However long an answer takes."""
    found, seconds = Machine(one=0, two=None).wait(timeout)
    assert module.is_healthy(found["one"])
    assert not module.is_healthy(found["two"])
    assert timeout <= seconds < timeout + 2


@pytest.mark.parametrize("state", [{}, inspected("starting", restarts=3)], ids=["missing", "falls over and over"])
def test_what_will_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, state: dict[str, Any]) -> None:
    machine = Machine(one=0)
    monkeypatch.setattr(machine, "state", lambda _: state)
    assert machine.wait(180)[1] < 1


def test_one_restart_or_two_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(one=0)
    monkeypatch.setattr(machine, "state", lambda _: inspected("starting", restarts=2))
    assert machine.wait(30)[1] >= 30


def test_others_are_waited_for_though_one_will_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure names all that are not healthy, and only these."""
    machine = Machine(one=5.0, gone=0)
    state = machine.state
    monkeypatch.setattr(machine, "state", lambda name: {} if name == "gone" else state(name))
    found, seconds = machine.wait(180)
    assert 5 <= seconds < 6
    assert module.is_healthy(found["one"])


def test_an_engine_that_is_away_for_a_moment_is_asked_again() -> None:
    machine = Machine(one=0)
    machine.away_until = 10.0
    assert 10 <= machine.wait(30)[1] < 11


def test_an_engine_that_stays_away_is_a_failure() -> None:
    machine = Machine(one=0)
    machine.away_until = 1000.0
    with pytest.raises(OSError, match="away"):
        machine.wait(30)
    assert 30 <= machine.time < 32


def test_a_missing_container_is_told_from_a_missing_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ask", lambda _, question: {"Id": "1"} if "/there/" in question else None)
    monkeypatch.setattr(module, "ask_again", lambda *_: {"Version": "1"})
    assert module.look(["there", "gone"]) == {"there": {"Id": "1"}, "gone": {}}

    def away(*_: Any) -> Any:
        raise OSError("away")

    monkeypatch.setattr(module, "ask_again", away)
    assert module.look(["there"]) == {"there": {"Id": "1"}}
    with pytest.raises(OSError, match="away"):
        module.look(["there", "gone"])


TOLD = {"Status": "running", "Health": {"Status": "starting", "Log": []}}


def checked(script: str, *, interval: int = 0, status: str = "starting") -> dict[str, Any]:
    """Return the state of a container with a health check; engines from 25.0 on know an interval for its start."""
    check = {"Test": ["CMD", "sh", "-c", script], **({"StartInterval": interval} if interval else {})}
    return {"Config": {"Healthcheck": check}, "State": {**TOLD, "Health": {"Status": status, "Log": []}}}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put a client of the engine's on the path which runs what it is told here, and notes the container."""
    program = tmp_path / "docker"
    program.write_text(
        f'#!/bin/sh\n[ "$1" = exec ] || exit 9\necho "$2" >> {tmp_path}/asked\nshift 2\nexec "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "asked"


def test_one_whose_engine_asks_late_is_asked_here(monkeypatch: pytest.MonkeyPatch, client: Path) -> None:
    """Each with its own health check; the state says what it said."""
    states = {"shop-one": checked("echo well"), "shop-two": checked("echo refused; exit 1")}
    monkeypatch.setattr(module, "ask", lambda _, question: states[question.split("/")[2]])
    found = module.look(states)
    assert {name: (module.is_healthy(state), module.report(state)) for name, state in found.items()} == {
        "shop-one": (True, "well"),
        "shop-two": (False, "refused"),
    }
    assert found["shop-one"]["State"]["Status"] == "running"
    assert sorted(client.read_text(encoding="utf-8").split()) == ["shop-one", "shop-two"]


@pytest.mark.parametrize(("script", "status"), [("echo well", "healthy"), ("echo ill; exit 1", "unhealthy")])
def test_one_that_was_unhealthy_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, client: Path, script: str, status: str
) -> None:
    """The engine would ask when its interval is over, whatever its version."""
    monkeypatch.setattr(module, "ask", lambda *_: checked(script, interval=10**9, status="unhealthy"))
    found = module.look(["shop-one"])["shop-one"]
    assert found["State"]["Health"]["Status"] == status
    assert client.read_text(encoding="utf-8").split() == ["shop-one"]


def test_a_check_has_the_time_that_the_engine_gives_it(client: Path) -> None:
    state = checked("sleep 60")
    state["Config"]["Healthcheck"]["Timeout"] = 200_000_000
    assert health.run_check("shop-one", state) == (False, "no answer within 0 s")
    assert client.exists()


@pytest.mark.parametrize(
    "state",
    [
        checked("exit 0", interval=10**9),
        checked("exit 0", status="healthy"),
        {**checked("exit 0", status="unhealthy"), "State": {"Status": "paused", "Health": {"Status": "unhealthy"}}},
        {"Config": {"Healthcheck": {}}, "State": TOLD},
        {"Config": {}, "State": TOLD},
    ],
    ids=["the engine asks", "the engine has asked", "it cannot answer", "no check", "none at all"],
)
def test_others_are_left_to_the_engine(monkeypatch: pytest.MonkeyPatch, client: Path, state: dict[str, Any]) -> None:
    monkeypatch.setattr(module, "ask", lambda *_: state)
    assert module.look(["shop-one"]) == {"shop-one": state}
    assert not client.exists()


def test_the_explanation_says_what_is_known() -> None:
    state = inspected("unhealthy", restarts=1, says="no answer on 3306")
    said = module.explanation("shop-mariadb", state, 179.6, "last words")
    assert said.splitlines() == [
        "shop-mariadb did not become healthy: waited 180 s for it.",
        "State: running, exit code 7, restarted 1 times.",
        "Last health check: no answer on 3306",
        "Last log lines:",
        "last words",
    ]
    state["State"]["OOMKilled"] = True
    assert "killed for lack of memory" in module.explanation("shop-mariadb", state, 1, "")
    assert "there is no such container" in module.explanation("shop-mariadb", {}, 1, "")
    assert "Last health check: none" in module.explanation("shop-mariadb", {"State": {"Status": "created"}}, 1, "")
