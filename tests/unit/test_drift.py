"""The report of what has drifted: results of a check run as rows, and rows as a table."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from module_utils import run_lock
from tests.support.load import load

drift = load("callback_plugins/drift.py", "drift_callback")
CONTAINER: dict[str, Any] = {
    "item": {"name": "nginx"},
    "changed": True,
    "container": {"State": {"Running": False, "FinishedAt": "2026-01-02T03:04:05.678Z"}},
    "diff": {"before": {"memory": 99, "running": False}, "after": {"memory": 64, "running": True}},
}


def test_a_container_has_a_row_for_each_option() -> None:
    since = "2026-01-02T03:04:05"
    assert drift.rows("container : Run | Start the containers", CONTAINER, "nginx") == [
        drift.row("container nginx", "memory", 64, 99, since),
        drift.row("container nginx", "running", True, False, since),
    ]


def test_a_running_container_has_not_stopped_at_any_time() -> None:
    running = {**CONTAINER, "container": {"State": {"Running": True, "FinishedAt": "0001-01-01T00:00:00Z"}}}
    assert {entry["since"] for entry in drift.rows("Run | Start", running, "nginx")} == {None}


@pytest.mark.parametrize(
    ("task", "result", "item", "rows"),
    [
        (
            "wordpress : Sites | Name what differed",
            {"msg": ['option blogname: "Ours" -> "Theirs"', "user x: password"]},
            "blog",
            [
                ("site blog", "option blogname", '"Theirs"', '"Ours"'),
                ("site blog", "user x: password", None, None),
            ],
        ),
        (
            "wordpress : Report | Name the sites that could not be compared",
            {"msg": "could not be compared: the database is not reachable"},
            "blog",
            [("site blog", "could not be compared: the database is not reachable", None, None)],
        ),
        (
            "mariadb : Accounts | Name what differed",
            {"msg": ["account a@%: missing"]},
            "",
            [("mariadb", "account a@%: missing", None, None)],
        ),
        (
            "container : Prepare | Name what differed",
            {"msg": ["/srv/shop/secrets: mode"]},
            "",
            [("stack", "/srv/shop/secrets: mode", None, None)],
        ),
        (
            "container : Prepare | Keep the networks",
            {"changed": True},
            "shop-web",
            [("stack", "Keep the networks (shop-web)", None, None)],
        ),
        (
            "certificates : Certificates | Issue what is missing",
            {"changes": ["blog: expired"], "diff": {"before": "", "after": ""}},
            "",
            [("certificates", "blog: expired", None, None)],
        ),
        ("Say something", {"changed": True}, "", [("stack", "Say something", None, None)]),
    ],
)
def test_other_results(task: str, result: dict[str, Any], item: str, rows: list[tuple[Any, ...]]) -> None:
    assert drift.rows(task, result, item) == [drift.row(*values) for values in rows]


def test_the_table_leaves_out_what_nobody_knows_and_wraps_what_is_long() -> None:
    text = drift.table([drift.row("mariadb", "account " + "a" * 60), drift.row("redis", "setting maxmemory")])
    lines = text.splitlines()
    assert lines[0].split() == ["PART", "WHAT"]
    assert all(len(line) <= 80 for line in lines)
    assert sum("a" * 10 in line for line in lines) == 2


def test_the_table_shows_values_in_one_line() -> None:
    text = drift.table([drift.row("container x", "env", {"A": "b\nc"}, ["d"])])
    assert text.splitlines()[1].split("  ")[-1].strip() == '["d"]'
    assert len(text.splitlines()) == 2


def test_the_file_tells_a_target_that_is_locked_from_one_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what `run_lock.take` returns in the name of a module that finds another run."""
    file = tmp_path / "drift.json"
    monkeypatch.setenv("PRESSDOCK_DRIFT_FILE", str(file))
    holder = {"user": "somebody", "machine": "elsewhere", "pid": 7, "place": "another", "start": 1, "since": "noon"}
    report = drift.CallbackModule()
    for host, found in {"pier": run_lock.take(lambda _: {"holder": holder}, "pier"), "quay": {"msg": "no"}}.items():
        task = SimpleNamespace(get_name=lambda: "preflight : Check")
        report.v2_runner_on_failed(
            SimpleNamespace(task=task, result=found, host=SimpleNamespace(get_name=lambda host=host: host))
        )
    report.v2_playbook_on_stats(SimpleNamespace(processed={"pier": 1, "quay": 1}))
    document = json.loads(file.read_text())
    assert set(document["failed"]) == {"pier", "quay"}
    assert document["locked"] == ["pier"]
    assert "Another run works on pier: somebody on elsewhere" in document["failed"]["pier"]
