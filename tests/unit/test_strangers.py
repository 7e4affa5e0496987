"""What stands in a stack and belongs to nobody (containers of others, programs among uploads), and what ails in it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine
from tests.support.load import load

strangers = load("roles/container/library/stack_strangers.py")


def network(name: str, stack: str | None) -> dict[str, Any]:
    """Return one of the engine's networks."""
    return {"Name": name, "Labels": {"pressdock.stack": stack} if stack else None}


def container(name: str, stack: str | None, *networks: str, port: int = 0, mode: str = "") -> dict[str, Any]:
    """Return one of the engine's containers."""
    return {
        "Id": hashlib.sha256(name.encode()).hexdigest(),
        "Names": [f"/{name}"],
        "Labels": {"pressdock.stack": stack} if stack else {},
        "Ports": [{"PrivatePort": 80, "PublicPort": port}] if port else [{"PrivatePort": 80}],
        "HostConfig": {"NetworkMode": mode or (networks[0] if networks else "none")},
        "NetworkSettings": {"Networks": {one: {} for one in networks}},
    }


def test_containers_of_others_on_own_networks_are_found_and_no_other() -> None:
    """Another stack whose name begins like this one's is not on this one's networks."""
    networks = [network("shop-web", "shop"), network("shop-2-web", "shop-2"), network("shop-like", None)]
    containers = [
        container("shop-nginx", "shop", "shop-web"),
        container("shop-2-nginx", "shop-2", "shop-2-web"),
        container("other", None, "shop-like", "bridge"),
        container("intruder", None, "bridge", "shop-web", port=9099),
    ]
    assert strangers.foreign_containers(containers, networks, "shop") == [
        "container intruder of others on network shop-web, publishes 9099"
    ]


def test_containers_of_others_in_a_network_namespace_of_the_stack_are_found() -> None:
    """Named by id or by name; and one in the namespace of another, be it through a third. A loop has no end to find."""
    nginx = container("shop-nginx", "shop", "shop-web")
    containers = [
        nginx,
        container("shop-helper", "shop", mode="container:shop-nginx"),
        container("by-id", None, mode=f"container:{nginx['Id']}"),
        container("by-name", None, mode="container:shop-nginx"),
        container("through", None, mode="container:by-name"),
        container("intruder", None, "shop-web"),
        container("with-intruder", None, mode="container:intruder"),
        container("other", None, "bridge"),
        container("with-other", None, mode="container:other"),
        container("with-one-that-is-gone", None, mode="container:0123456789ab"),
        container("one", None, mode="container:two"),
        container("two", None, mode="container:one"),
    ]
    assert strangers.foreign_containers(containers, [network("shop-web", "shop")], "shop") == [
        "container by-id of others in the network namespace of shop-nginx",
        "container by-name of others in the network namespace of shop-nginx",
        "container through of others in the network namespace of shop-nginx",
        "container intruder of others on network shop-web",
        "container with-intruder of others on network shop-web",
    ]


@pytest.mark.parametrize(
    ("state", "status", "found"),
    [
        ("running", "Up 5 minutes (unhealthy)", ["container shop-nginx is unhealthy"]),
        ("restarting", "Restarting (1) 5 seconds ago", ["container shop-nginx is restarting"]),
        ("running", "Up 5 minutes (healthy)", []),
        ("running", "Up 2 seconds (health: starting)", []),
        ("running", "Up 5 minutes", []),
        ("paused", "Up 5 minutes (Paused)", []),
        ("exited", "Exited (137) 2 hours ago", []),
        ("created", "Created", []),
    ],
)
def test_containers_that_ail_are_named(
    monkeypatch: pytest.MonkeyPatch, state: str, status: str, found: list[str]
) -> None:
    """Those of the stack alone, and those that are well again by now are not."""
    monkeypatch.setattr(strangers, "ask", lambda *_: {"Config": {"Healthcheck": {"Test": ["CMD", "true"]}}})
    monkeypatch.setattr(strangers, "run_check", lambda *_: (False, "refused"))
    how = {"State": state, "Status": status}
    containers = [
        {**container("shop-nginx", "shop"), **how},
        {**container("shop-2-nginx", "shop-2"), **how},
        {**container("other", None, "shop-web"), **how},
    ]
    assert strangers.ailing_containers(containers, "shop") == found
    monkeypatch.setattr(strangers, "run_check", lambda *_: (True, ""))
    assert strangers.ailing_containers(containers, "shop") == [one for one in found if "restarting" in one]


def test_programs_among_uploads_are_named_and_many_are_counted(tmp_path: Path) -> None:
    uploads = tmp_path / "sites" / "blog" / "wp-content" / "uploads"
    (uploads / "2026").mkdir(parents=True)
    (uploads / "2026" / "photo.jpg").touch()
    (uploads / "2026" / "shell.PhP7").touch()
    elsewhere = tmp_path / "sites" / "blog" / "wp-content" / "plugins"
    elsewhere.mkdir()
    (elsewhere / "plugin.php").touch()
    assert strangers.programs(str(tmp_path)) == ["program among the uploads of site blog: 2026/shell.PhP7"]
    for number in range(25):
        (uploads / f"{number:02}.php").touch()
    found = strangers.programs(str(tmp_path))
    assert len(found) == 21
    assert found[-1] == "program among the uploads of site blog: 6 more"
    assert strangers.programs(str(tmp_path / "nowhere")) == []


def test_the_module_names_both_kinds_and_asks_no_engine_that_is_not_there(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
) -> None:
    uploads = tmp_path / "sites/blog/wp-content/uploads"
    uploads.mkdir(parents=True)
    (uploads / "shell.php").touch()
    ailing = {**container("shop-nginx", "shop", "shop-web"), "State": "restarting", "Status": ""}
    engine.answers = {
        "/containers/json?all=1": [ailing, container("intruder", None, "shop-web")],
        "/networks": [network("shop-web", "shop")],
    }
    program = "program among the uploads of site blog: shell.php"
    parameters = {"stack": "shop", "volumes": str(tmp_path), "check": True}
    monkeypatch.setattr(strangers, "SOCKET", engine.path)
    answer = run_module(strangers, **parameters)
    assert answer["strangers"] == ["container intruder of others on network shop-web", program]
    assert (answer["changed"], answer["ailing"]) == (False, ["container shop-nginx is restarting"])
    monkeypatch.setattr(strangers, "SOCKET", str(tmp_path / "nobody"))
    answer = run_module(strangers, **parameters)
    assert (answer["strangers"], answer["ailing"]) == ([program], [])


NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


def heal(hours: float, name: str, why: str = "it does nothing") -> dict[str, str]:
    """Return an entry of the healer's record, so many hours old."""
    return {"at": (NOW - dt.timedelta(hours=hours)).isoformat(), "container": name, "why": why}


def test_what_the_healer_did_is_told_for_a_day() -> None:
    record = json.dumps({"heals": [heal(30, "shop-ftp"), heal(25, "shop-nginx"), heal(23, "shop-nginx"),
                                   heal(1.5, "shop-nginx", "it hung"), heal(2, "shop-adminer")]})  # fmt: skip
    when = "was started again by the healer, {} within a day, last at 2026-11-30T10:{}:00Z: {}"
    assert strangers.healed_containers(record, NOW) == [
        f"container shop-adminer {when.format('1 time', '00', 'it does nothing')}",
        f"container shop-nginx {when.format('2 times', '30', 'it hung')}",
    ]


@pytest.mark.parametrize("text", ["", '{"heals": []}'])
def test_a_healer_without_work_is_not_told_of(text: str) -> None:
    assert strangers.healed_containers(text, NOW) == []


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"heals": [3]}', '{"heals": [{"at": "yesterday", "container": "", "why": ""}]}']
)
def test_a_record_that_somebody_changed_is_told(text: str) -> None:
    assert strangers.healed_containers(text, NOW) == ["the healer's record cannot be read"]


def test_a_stack_without_a_healer_has_no_record(tmp_path: Path) -> None:
    assert strangers.read(str(tmp_path / "heals.json")) == ""
    (tmp_path / "heals.json").write_text("x", encoding="utf-8")
    assert strangers.read(str(tmp_path / "heals.json")) == "x"
