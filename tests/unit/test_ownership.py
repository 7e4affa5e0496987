"""Whose a container is, whatever it is called, and data that are not where they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from filter_plugins import ownership
from tests.support.engine import Engine
from tests.support.load import load

module = load("roles/container/library/container_reclaim.py")

STACK, DATA = "shop", "/d"
WEB = {"name": "web", "overlap": "front", "networks": ["front"], "volumes": [{"name": "site", "path": "/site"}]}
STORE = {"name": "store", "networks": ["back"], "volumes": [{"name": "data", "path": "/var/lib/store"}]}
GATE = {"name": "gate", "networks": ["front"], "ports": ["192.0.2.4:8443:443/tcp", "[::1]:3000-3001:3000-3001/udp"]}
DECLARED: list[dict[str, Any]] = [WEB, STORE, GATE]


def one(
    identifier: str, name: str, own: str = "", *, state: str = "running", recorded: bool = False, **more: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a container of the stack as the engine lists it, and what else was found of it."""
    labels = {"pressdock.stack": STACK}
    listed = {"Id": identifier * 64, "Names": [f"/{name}"], "Labels": labels, "State": state, "Data": [], **more}
    return listed, {"own_name": own, "recorded": recorded, "aliases": more.get("aliases", {})}


def looked(*containers: tuple[dict[str, Any], dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Return a look at an engine."""
    return {
        "containers": [listed for listed, _ in containers],
        "found": {listed["Names"][0].lstrip("/"): found for listed, found in containers if found},
        "records": {listed["Names"][0].lstrip("/"): {} for listed, found in containers if found},
        **more,
    }


def steps(engine: dict[str, Any], *, whole: bool = True) -> list[tuple[str, str, str]]:
    """Return action, present name and name to be of each step."""
    found = ownership.Reclaim(DECLARED, engine, STACK, DATA).run(whole=whole)
    assert ownership.Reclaim(DECLARED, ownership.engine_after(engine, found), STACK, DATA).run(whole=whole) == []
    return [(step["action"], step["present"], step["name"]) for step in found]


def test_what_is_in_its_place_is_left() -> None:
    """Also in the middle of a handover, and after one: each of the names is its own."""
    assert steps(looked(one("a", "shop-web", "web"), one("b", "shop-store", "store"))) == []
    assert steps(looked(one("a", "shop-web.shop-front", "web", recorded=True), one("b", "shop-web", "web"))) == []
    assert steps(looked(one("a", "shop-store.former", "store"), one("b", "shop-store", "store"))) == []
    assert steps(looked(one("a", f"shop-web.{'a' * 12}", "web"), one("b", "shop-web", "web"))) == []
    # No longer declared, or not known: the end of a run removes it.
    assert steps(looked(one("a", "shop-old", "old"), one("b", "shop-thing", ""))) == []


@pytest.mark.parametrize("state", ["running", "paused", "restarting", "exited"])
def test_a_renamed_container_has_its_name_back(state: str) -> None:
    assert steps(looked(one("a", "other", "store", state=state))) == [("rename", "other", "shop-store")]


def test_one_that_was_retired_and_has_no_successor_comes_back() -> None:
    """Its run was killed between two names."""
    name = f"shop-web.{'a' * 12}"
    assert steps(looked(one("a", name, "web"))) == [("rename", name, "shop-web")]


def test_names_that_were_exchanged_are_exchanged_back() -> None:
    engine = looked(one("a", "shop-store", "gate"), one("b", "shop-gate", "store"))
    assert sorted(steps(engine)) == [("rename", "shop-gate", "shop-store"), ("rename", "shop-store", "shop-gate")]


def test_the_one_that_a_run_has_made_stays() -> None:
    """Whatever the other one is called, and whether it runs."""
    original, copy = one("a", "other", "store", recorded=True, state="exited"), one("b", "shop-store", "store")
    assert steps(looked(original, copy)) == [("remove", "shop-store", ""), ("rename", "other", "shop-store")]
    assert steps(looked(one("a", "shop-store", "store", recorded=True), one("b", "copy", "store"))) == [
        ("remove", "copy", "")
    ]


def test_where_nothing_is_recorded_the_one_in_its_place_stays_and_of_others_the_oldest_that_runs() -> None:
    assert steps(looked(one("a", "copy", "store"), one("b", "shop-store", "store", state="exited"))) == [
        ("remove", "copy", "")
    ]
    astray = [one("a", "x", "store", Created=5), one("b", "y", "store", Created=3), one("c", "z", "store", Created=1)]
    astray[2][0]["State"] = "exited"
    assert steps(looked(*astray)) == [
        ("remove", "x", ""),
        ("remove", "z", ""),
        ("rename", "y", "shop-store"),
    ]


def test_a_copy_goes_and_a_handover_that_was_interrupted_stays() -> None:
    pair = one("a", "shop-store.former", "store", recorded=True), one("b", "shop-store", "store")
    assert steps(looked(*pair, one("c", "copy", "store"))) == [("remove", "copy", "")]


def test_whoever_has_the_name_makes_room() -> None:
    """A stranger is replaced as it is without a renamed one; so is an undeclared one of the stack's."""
    stranger = {"Id": "c" * 64, "Names": ["/shop-store"], "Labels": None, "State": "running", "Data": []}
    wanted = [("remove", "shop-store", ""), ("rename", "other", "shop-store")]
    assert steps(looked(one("a", "other", "store"), (stranger, {}))) == wanted
    assert steps(looked(one("a", "other", "store"), one("b", "shop-store", "old"))) == wanted


@pytest.mark.parametrize(
    "claim",
    [
        {"Data": [{"place": "/d/volumes/data", "rw": True}]},
        {"Data": [{"place": "/d/volumes/data/inner", "rw": True}], "State": "paused"},
        {"Ports": [{"PublicPort": 8443, "Type": "tcp"}]},
        {"Ports": [{"PublicPort": 3001, "Type": "udp"}]},
        {"aliases": {"shop-front": ["web.front"]}},
    ],
)
def test_what_claims_data_a_port_or_an_address_goes_first(claim: dict[str, Any]) -> None:
    assert steps(looked(one("a", "helper", "", **claim))) == [("remove", "helper", "")]
    assert steps(looked(one("a", "helper", "", **claim)), whole=False) == [], "it may be another part's"


@pytest.mark.parametrize(
    "harmless",
    [
        {"Data": [{"place": "/d/volumes/data", "rw": False}]},
        {"Data": [{"place": "/d/volumes/data-2", "rw": True}]},
        # Written by one that overlaps with its successor.
        {"Data": [{"place": "/d/volumes/site", "rw": True}]},
        {"Ports": [{"PublicPort": 8443, "Type": "udp"}, {"PrivatePort": 8443, "Type": "tcp"}]},
        {"aliases": {"shop-front": ["helper"]}},
    ],
)
def test_what_claims_nothing_goes_last(harmless: dict[str, Any]) -> None:
    assert steps(looked(one("a", "helper", "", **harmless))) == []


def test_a_part_of_the_stack_looks_after_its_own() -> None:
    engine = looked(one("a", "other", "ftp"), one("b", "elsewhere", "store"))
    assert steps(engine, whole=False) == [("rename", "elsewhere", "shop-store")]


def test_a_command_that_runs_in_a_site_is_no_rival() -> None:
    """It writes in the same volume, and ends by itself."""
    data = [{"place": f"{DATA}/volumes/data", "rw": True}]
    listed, found = one("a", "shop-wp-kai-1", Data=data)
    assert steps(looked((listed, found))) == [("remove", "shop-wp-kai-1", "")], "control"
    assert steps(looked((listed, found)), whole=False) == [], "it may be another service's"
    listed["Labels"] = {**listed["Labels"], "pressdock.command": "wp"}
    assert steps(looked((listed, found))) == []


@pytest.mark.parametrize(("own", "whole", "gone"), [("old", True, ["old"]), ("old", False, []), ("store", True, [""])])
def test_what_was_of_nobody_else_goes_with_it(own: str, whole: bool, gone: list[str]) -> None:
    """Its secrets would lie there for ever; those of a declared container are that one's."""
    data = [{"place": f"{DATA}/volumes/data", "rw": True}]
    engine = looked(one("a", "shop-store", "store", recorded=True), one("b", "somewhere", own, Data=data))
    found = ownership.Reclaim(DECLARED, engine, STACK, DATA).run(whole=whole)
    assert [step["own"] for step in found if step["action"] == "remove"] == gone


class TestStrangers:
    """Those on a database's data are named, and never touched."""

    def problems(self, **more: Any) -> list[str]:
        """Return what is said of a container without the stack's label."""
        listed, _ = one("a", "theirs", **more)
        return ownership.foreign_writers(DECLARED, looked(({**listed, "Labels": more.get("Labels")}, {})), STACK, DATA)

    @pytest.mark.parametrize("state", ["running", "paused", "restarting"])
    @pytest.mark.parametrize("labels", [None, {}, {"pressdock.stack": "other"}])
    def test_one_that_may_write(self, state: str, labels: Any) -> None:
        (line,) = self.problems(state=state, Labels=labels, Data=[{"place": "/d/volumes/data", "rw": True}])
        assert line.startswith("Container theirs, which is not the stack's, may write in /d/volumes/data: two servers")

    def test_others(self) -> None:
        data = [{"place": "/d/volumes/data", "rw": True}]
        assert self.problems(state="exited", Data=data) == []
        assert self.problems(Data=[{"place": "/d/volumes/data", "rw": False}]) == []
        assert self.problems(Data=[{"place": "/d/volumes/site", "rw": True}]) == []
        assert self.problems(Data=[{"place": "/d", "rw": True}]) == []
        assert self.problems(Labels={"pressdock.stack": STACK}, Data=data) == []


class TestLostData:
    volume: dict[str, Any] = {"name": "shop-data", "directory": "/d/volumes/data", "owner": "store"}

    def said(self, kind: str, *, held: bool = False, now: str | None = None, **more: Any) -> str:
        """Return what is said of the volume."""
        state = {"path": "/d/volumes/data", "kind": kind, "held": held}
        moved = [] if now is None else [{"volume": "shop-data", "now": now, "destination": "/x", "path": "/y"}]
        moved.append({"volume": "", "now": "", "destination": "/run/secrets", "path": "/z"})
        engine = {"directories": {"shop-data": state}, "found": {"shop-store": {"moved": moved}}}
        return "\n".join(ownership.lost_data([{**self.volume, **more}], engine))

    def test_what_is_there(self) -> None:
        assert self.said("directory", held=True) == ""
        assert self.said("empty") == "", "it has held nothing yet"
        assert self.said("empty", held=True, may_be_empty=True) == ""
        assert ownership.lost_data([self.volume], {"info": None}) == []
        assert ownership.lost_data([self.volume], {"directories": {}, "found": {}}) == [], "it is new"

    @pytest.mark.parametrize(
        ("kind", "words"),
        [("missing", "is not there any more"), ("link", "is a symbolic link"), ("file", "is a file"),
         ("empty", "is empty, and held data")],
    )  # fmt: skip
    def test_what_is_not(self, kind: str, words: str) -> None:
        said = self.said(kind, held=True)
        assert words in said
        assert "Volume shop-data: " in said
        assert "/d/volumes/data" in said
        assert said.endswith("make down, docker volume rm shop-data, make up.")
        if kind != "empty":
            assert words in self.said(kind, may_be_empty=True), "a directory that is gone was moved or deleted"

    @pytest.mark.parametrize("kind", ["directory", "empty", "missing"])
    def test_what_was_moved_is_told_with_its_place(self, kind: str) -> None:
        said = self.said(kind, now="/d/volumes/aside")
        assert "shop-store uses, which is /d/volumes/aside now. Bring it back (mv /d/volumes/aside /d/volumes/d" in said
        assert ("is another one: if it is the right one" in said) is (kind != "missing")

    def test_what_was_deleted_or_is_somewhere(self) -> None:
        assert "uses, which was deleted. Bring it back from a backup" in self.said("missing", now="/d/x//deleted")
        assert "uses. Bring it back from a backup" in self.said("directory", now="")

    def test_a_volume_that_leads_elsewhere_is_not_this_ones_matter(self) -> None:
        assert self.said("missing", directory="/e/volumes/data") == ""


def test_what_holds_something_is_noted_once() -> None:
    volumes = [{"name": name} for name in ("a", "b", "c", "d")]
    directories = {
        "a": {"kind": "directory", "held": False},
        "b": {"kind": "directory", "held": True},
        "c": {"kind": "empty", "held": False},
    }
    assert ownership.unmarked_volumes(volumes, {"directories": directories}) == ["a"]


def test_names_become_paths_only_where_they_are_plain() -> None:
    """And what a declared container has is not removed with one that says it is it."""
    engine = {"found": {"x": {"own_name": "gate"}, "shop-y": {"own_name": "y"}, "shop-..": {"own_name": ""}}}
    names = ["x", "shop-y", "shop-..", "shop-plain", "shop-a.b"]
    assert ownership.own_directories(names, engine, STACK, ["gate"]) == ["plain", "y"]


@pytest.mark.parametrize("state", [{"Running": True}, {"Running": True, "Paused": True}, {"Restarting": True}, {}])
def test_the_module_ends_in_order_before_it_renames(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]], state: dict[str, bool]
) -> None:
    monkeypatch.setattr(module, "SOCKET", engine.path)
    engine.answers = {
        "/containers/aa/json": {"State": state, "Config": {"StopTimeout": 60}},
        "/containers/json?all=1": [{"Names": ["/old"], "State": "running"}],
    }
    answer = run_module(module, steps=[{"action": "rename", "id": "bb", "name": "shop-store"},
                                       {"action": "remove", "id": "aa", "name": ""}])  # fmt: skip
    assert answer["changed"]
    told = [f"{method} {path}" for method, path, _ in engine.told]
    assert told == [
        *(["POST /containers/aa/unpause"] if state.get("Paused") else []),
        *(["POST /containers/aa/stop"] if state else []),
        "DELETE /containers/aa?force=1",
        "POST /containers/bb/rename?name=shop-store",
    ]


def test_the_module_exchanges_names_through_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
) -> None:
    monkeypatch.setattr(module, "SOCKET", engine.path)
    engine.answers = {"/containers/json?all=1": [{"Names": ["/shop-a"], "State": "x"}, {"Names": ["/shop-b"]}]}
    wanted = [{"action": "rename", "id": 2 * x, "name": f"shop-{x}"} for x in "ab"]
    run_module(module, steps=wanted)
    assert [path.partition("?name=")[2] for _, path, _ in engine.told] == [
        "shop-a.aa", "shop-b.bb", "shop-a", "shop-b",
    ]  # fmt: skip
    engine.refusals = {("POST", "/containers/aa/rename?name=shop-a.aa"): (500, "in use")}
    assert run_module(module, steps=wanted)["failed"]
