"""Replacing a container: who serves, and has its name and address, after each step and wherever a run was killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from module_utils import handover
from tests.support.load import load

module = load("roles/container/library/container_handover.py")

NAME, ADDRESS = "shop-toy", "shop-toy.shop-web"
BOTH = [
    {"name": NAME, "address": ADDRESS, "overlaps": True},
    {"name": "shop-boat", "address": "shop-boat.shop-web", "overlaps": True},
]
FORMER = f"{NAME}.former"
IN_TURN = [{"name": NAME, "address": FORMER, "overlaps": False}]
OLD, NEW = "a" * 64, "b" * 64


class KilledError(Exception):
    """The run ends here."""


class Engine:
    """An engine that knows names, and answers addresses as the real one does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **containers: bool) -> None:
        self.containers: dict[str, dict[str, Any]] = {
            name.replace("_", "-"): {"id": OLD if name == "shop_toy" else "c" * 64, "running": running}
            for name, running in containers.items()
        }
        self.requests = 0
        self.dies_after: int | None = None
        self.cannot_start: set[str] = set()
        monkeypatch.setattr(module, "ask_again", self.answer)
        monkeypatch.setattr(module, "tell", self.obey)
        monkeypatch.setattr(module, "connected", lambda _: 0)
        monkeypatch.setattr(module.time, "sleep", lambda _: None)

    def answer(self, _: str, question: str) -> Any:
        """Answer a question."""
        if question.startswith("/containers/json"):
            return [
                {"Names": [f"/{name}"], "State": "running" if one["running"] else "exited"}
                for name, one in self.containers.items()
            ]
        one = self.containers[question.split("/")[2]]
        return {"Id": one["id"], "State": {"Pid": 7}, "Config": {"StopTimeout": 3}}

    def obey(self, _: str, method: str, request: str, *_timeout: float) -> None:
        """Do something, until the run is killed."""
        if self.requests == self.dies_after:
            raise KilledError
        self.requests += 1
        parts = urlsplit(request)
        name = parts.path.split("/")[2]
        if method == "DELETE":
            del self.containers[name]
        elif parts.path.endswith("/stop"):
            self.containers[name]["running"] = False
        elif parts.path.endswith("/start"):
            if name in self.cannot_start:
                raise OSError(f"POST {request}: 500 port is already allocated")
            self.containers[name]["running"] = True
            assert sum(one["running"] for one in self.containers.values()) == 1, "they run beside each other"
        else:
            to = parse_qs(parts.query)["name"][0]
            assert to not in self.containers, "the name is another's"
            self.containers[to] = self.containers.pop(name)

    def serving(self, address: str = ADDRESS, name: str = NAME) -> str:
        """Return the id of the container that clients reach."""
        return str(self.containers.get(address, self.containers.get(name, {"id": ""}))["id"])

    def create(self, *, running: bool = True) -> None:
        """Create the successor."""
        assert NAME not in self.containers
        self.containers[NAME] = {"id": NEW, "running": running}

    @property
    def all_running(self) -> set[str]:
        """The ids of those that run."""
        return {one["id"] for one in self.containers.values() if one["running"]}


def test_change_of_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, shop_toy=True, shop_boat=True)
    module.set_aside(BOTH[:1])
    engine.create()
    assert engine.serving() == OLD
    assert module.finish(BOTH[:1], 5, 300) == {f"{NAME}.{OLD[:12]}": 0}
    assert engine.serving() == NEW
    assert set(engine.containers) == {NAME, "shop-boat"}


def test_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, shop_toy=True, shop_boat=True)
    module.set_aside(BOTH)
    engine.create()
    module.take_back(BOTH)
    assert engine.serving() == OLD
    assert set(engine.containers) == {NAME, "shop-boat"}
    # There is nothing to take back.
    before = engine.requests
    module.take_back(BOTH)
    assert engine.requests == before


@pytest.mark.parametrize("requests", range(6))
def test_killed_run_is_taken_back_or_has_handed_over(monkeypatch: pytest.MonkeyPatch, requests: int) -> None:
    """Whatever the last request was: somebody serves all the time, and a further run ends as a whole one does."""
    engine = Engine(monkeypatch, shop_toy=True)
    engine.dies_after = requests

    def run() -> None:
        module.take_back(BOTH[:1], interrupted=True)
        if engine.serving() == NEW:
            return
        module.set_aside(BOTH[:1])
        engine.create()
        module.finish(BOTH[:1], 5, 300)

    try:
        run()
    except KilledError:
        assert engine.serving() in {OLD, NEW}
    engine.dies_after = None
    run()
    assert engine.serving() == NEW
    # A container that has handed over and did not come to its end is one that nobody declares.
    assert set(engine.containers) <= {NAME, f"{NAME}.{OLD[:12]}"}


def test_running_successor_of_a_dead_container_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, shop_toy=True)
    module.set_aside(BOTH[:1])
    engine.create()
    engine.containers[ADDRESS]["running"] = False
    module.take_back(BOTH[:1], interrupted=True)
    assert engine.serving() == NEW
    assert set(engine.containers) == {NAME}


def test_change_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It serves until its successor is there, and stays until that one is healthy."""
    engine = Engine(monkeypatch, shop_toy=True)
    module.set_aside(IN_TURN)
    engine.create(running=False)
    assert engine.all_running == {OLD}
    assert module.take_turns([*BOTH[1:], *IN_TURN])[NAME]["Id"] == NEW
    assert engine.all_running == {NEW}
    assert set(engine.containers) == {NAME, FORMER}
    assert module.finish(IN_TURN, 5, 300) == {}
    assert engine.containers[NAME]["id"] == NEW
    assert set(engine.containers) == {NAME}


@pytest.mark.parametrize("starts", [True, False])
def test_way_back_from_a_successor_that_does_not_work(monkeypatch: pytest.MonkeyPatch, *, starts: bool) -> None:
    """It runs and is not healthy, or does not even start."""
    engine = Engine(monkeypatch, shop_toy=True)
    module.set_aside(IN_TURN)
    engine.create(running=False)
    if starts:
        module.take_turns(IN_TURN)
    else:
        engine.cannot_start = {NAME}
        with pytest.raises(OSError, match="already allocated"):
            module.take_turns(IN_TURN)
        engine.cannot_start = set()
    module.take_back(IN_TURN)
    assert engine.all_running == {OLD}
    assert set(engine.containers) == {NAME}


def test_way_back_from_a_successor_that_was_not_created(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, shop_toy=True)
    module.set_aside(IN_TURN)
    module.take_back(IN_TURN)
    assert (engine.all_running, set(engine.containers)) == ({OLD}, {NAME})


@pytest.mark.parametrize("requests", range(9))
def test_killed_run_in_turn_is_finished_by_the_next(monkeypatch: pytest.MonkeyPatch, requests: int) -> None:
    """There is one of them wherever it was killed, and a further run ends as a whole one does."""
    engine = Engine(monkeypatch, shop_toy=True)
    engine.dies_after = requests

    def run() -> None:
        module.take_back(IN_TURN, interrupted=True)
        if engine.all_running == {NEW}:
            return
        module.set_aside(IN_TURN)
        engine.create(running=False)
        module.take_turns(IN_TURN)
        module.finish(IN_TURN, 5, 300)

    try:
        run()
    except KilledError:
        assert engine.containers
    engine.dies_after = None
    run()
    assert engine.all_running == {NEW}
    assert set(engine.containers) == {NAME}


def test_a_container_is_removed_when_nobody_is_connected_to_it_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, shop_toy=True)
    left = [2, 1, 0, 0]
    pauses: list[float] = []
    asked: list[int] = []

    def connected(pid: int) -> int:
        asked.append(pid)
        return left.pop(0)

    monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    assert module.end(NAME, 300) == 0
    assert (asked, pauses) == ([7] * 3, [0.3] * 2)
    assert engine.containers == {}


def test_clients_that_do_not_go_are_waited_for_until_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(monkeypatch, shop_toy=True)
    clock = [100.0]
    monkeypatch.setattr(module, "connected", lambda _: 3)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    assert module.end(NAME, 20) == 3
    assert 120 <= clock[0] < 120 + module.PAUSE
    assert engine.containers == {}


@pytest.mark.parametrize(("stop_timeout", "seconds"), [(3, 3), (None, 10), (0, 10)])
def test_a_container_has_the_time_to_stop_that_it_was_made_with(
    monkeypatch: pytest.MonkeyPatch, stop_timeout: int | None, seconds: int
) -> None:
    """And one that does not run has no connections to look for."""
    told: list[tuple[Any, ...]] = []
    inspected = {"State": {"Pid": 0}, "Config": {"StopTimeout": stop_timeout}}
    monkeypatch.setattr(module, "ask_again", lambda *_: inspected)
    monkeypatch.setattr(module, "tell", lambda _, *request: told.append(request))
    monkeypatch.setattr(module, "connected", lambda pid: pytest.fail(f"looked for connections of {pid}"))
    assert module.end("shop-toy", 300) == 0
    assert told == [
        ("POST", "/containers/shop-toy/stop", seconds + 60),
        ("DELETE", "/containers/shop-toy?force=1", 60),
    ]


def test_a_process_that_is_gone_has_no_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And both kinds of addresses are counted of one that is there."""
    monkeypatch.setattr(module, "Path", lambda path: tmp_path / str(path).rsplit("/", 1)[-1])
    assert module.connected(7) == 0
    waiting = f"{TCP}   2: 020C11AC:2328 030C11AC:D2F0 01 0:0 00:0 0 613 0 3 1 0 20 4 30 10 -1\n"
    (tmp_path / "tcp").write_text(waiting, encoding="ascii")
    assert module.connected(7) == 1
    (tmp_path / "tcp6").write_text(waiting.replace("030C11AC:D2F0", "030C11AC:D2F1"), encoding="ascii")
    assert module.connected(7) == 2


def test_the_new_address_is_waited_for_before_clients_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    Engine(monkeypatch, shop_toy=True)
    monkeypatch.setattr(module.time, "sleep", pauses.append)
    assert module.finish(BOTH, 5, 300) == {}, "nothing was set aside"
    assert pauses == []
    module.set_aside(BOTH[:1])
    module.finish(BOTH, 5, 300)
    assert pauses == [5 + 2]


def test_the_module_does_one_step(monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]) -> None:
    engine = Engine(monkeypatch, shop_toy=True)

    def step(name: str, **options: float) -> dict[str, Any]:
        return run_module(module, containers=BOTH[:1], step=name, **options)

    assert step("aside")["changed"]
    assert set(engine.containers) == {ADDRESS}
    assert (back := step("back"))["changed"]
    assert back["unanswered"] == {}
    assert set(engine.containers) == {NAME}
    step("aside")
    engine.create()
    monkeypatch.setattr(module, "connected", lambda _: 4)
    assert step("finish")["unanswered"] == {f"{NAME}.{OLD[:12]}": 4}, "nobody waits unless told to"
    assert set(engine.containers) == {NAME}

    def refused(*_: Any) -> None:
        raise OSError("in use")

    monkeypatch.setattr(module, "tell", refused)
    answer = step("aside")
    assert (answer["failed"], answer["msg"]) == (True, "in use")


TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:9C4F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 020C11AC:2328 00000000:0000 0A 00000000:00000001 00:00000000 00000000   613        0 2 1 0 100 0 0 10 0
"""


@pytest.mark.parametrize(
    ("row", "count"),
    [
        ("020C11AC:2328 030C11AC:D2F0 01", 1),
        ("020C11AC:2328 030C11AC:D2F0 08", 1),
        # Answered: only the client's end is open.
        ("020C11AC:2328 030C11AC:D2F0 06", 0),
        # Its own health check, and one over the loopback.
        ("020C11AC:2328 020C11AC:D2F0 01", 0),
        ("0100007F:2328 0100007F:D2F0 01", 0),
        # Its connection to a database.
        ("020C11AC:8D2C 040C11AC:0CEA 01", 0),
    ],
)
def test_clients_that_wait_are_counted(row: str, count: int) -> None:
    table = f"{TCP}   2: {row} 00000000:00000000 00:00000000 00000000   613        0 3 1 0 20 4 30 10 -1\n"
    assert handover.waiting_clients(table, "") == count
