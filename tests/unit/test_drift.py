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
            "problems : Tell | Name what a run would end with",
            {"msg": "could not be compared: the database is not reachable"},
            "site blog",
            [("site blog", "could not be compared: the database is not reachable", None, None)],
        ),
        (
            "certificates : Report | Name certificates that end soon",
            {"msg": "ends on 2031-05-20, in 3 days"},
            "certificate blog of nginx",
            [("certificate blog of nginx", "ends on 2031-05-20, in 3 days", None, None)],
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


class TestReport:
    """A whole run, as it is printed and written."""

    def result(self, host: str, task: str, loop: Any = None, **result: Any) -> Any:
        """Return a task's result as Ansible hands it to a callback."""
        return SimpleNamespace(
            host=SimpleNamespace(get_name=lambda: host),
            task=SimpleNamespace(get_name=lambda: task, loop=loop),
            result=result,
        )

    @pytest.fixture
    def report(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Return the callback, and in `printed` what it prints, on which of the two outputs."""
        monkeypatch.delenv("PRESSDOCK_DRIFT_FILE", raising=False)
        callback = drift.CallbackModule()
        callback.printed = []
        callback._display = SimpleNamespace(
            display=lambda text, stderr=False: callback.printed.append(("error" if stderr else "output", text))
        )
        return callback

    def end(self, report: Any, *hosts: str) -> None:
        """End the run."""
        report.v2_playbook_on_stats(SimpleNamespace(processed=dict.fromkeys(hosts, 1)))

    def test_each_host_has_its_table_or_is_as_declared(self, report: Any) -> None:
        item = {"ansible_loop_var": "item", "_ansible_item_label": "shop-web"}
        report.v2_runner_on_ok(self.result("quay", "mariadb : Accounts | Name", msg=["a", "b"], changed=True))
        report.v2_runner_on_ok(self.result("quay", "mariadb : Accounts | Look", msg=["c"], changed=False))
        report.v2_runner_on_ok(self.result("quay", "Keep the networks", loop=["x"], changed=True))
        report.v2_runner_item_on_ok(self.result("dock", "Keep the networks", changed=True, **item))
        report.v2_runner_item_on_ok(self.result("dock", "Look at the networks", **item))
        report.v2_runner_item_on_ok(self.result("dock", "Set a password", changed=True, _ansible_no_log=True, **item))
        assert report.printed == []
        self.end(report, "quay", "pier", "dock")
        (_, dock), (_, pier), (_, quay) = report.printed
        assert {kind for kind, _ in report.printed} == {"output"}
        assert dock.splitlines()[0] == "dock: 2 differences"
        assert "Keep the networks (shop-web)" in dock
        assert "Set a password\n" in dock
        assert pier == "pier: as declared"
        assert [line.split() for line in quay.splitlines()] == [
            ["quay:", "2", "differences"], ["PART", "WHAT"], ["mariadb", "a"], ["mariadb", "b"],
        ]  # fmt: skip

    def test_one_difference_is_one(self, report: Any) -> None:
        report.v2_runner_on_ok(self.result("quay", "Keep the networks", changed=True))
        self.end(report, "quay")
        assert report.printed[0][1].startswith("quay: 1 difference\n")

    def test_hosts_that_failed_say_why_at_once_and_are_not_as_declared(self, report: Any) -> None:
        report.v2_runner_on_failed(self.result("quay", "Look", msg="no room"), ignore_errors=True)
        report.v2_runner_on_failed(self.result("dock", "Look", msg="no room"))
        report.v2_runner_on_failed(self.result("buoy", "Look", stderr="no way"))
        report.v2_runner_on_failed(self.result("raft", "Look"))
        report.v2_runner_on_unreachable(self.result("pier", "Look", msg="no route"))
        report.v2_runner_on_unreachable(self.result("ship", "Look"))
        assert report.printed == [
            ("error", "dock: Look:\nno room"),
            ("error", "buoy: Look:\nno way"),
            ("error", "raft: Look:\nno message"),
            ("error", "pier: no route"),
            ("error", "ship: unreachable"),
        ]
        report.printed.clear()
        self.end(report, "quay", "dock", "buoy", "raft", "pier", "ship")
        assert report.printed == [("output", "quay: as declared")]

    def test_the_file_has_all_of_it(self, report: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PRESSDOCK_DRIFT_FILE", str(tmp_path / "drift.json"))
        report.v2_runner_on_ok(self.result("quay", "Stelle Hafen für Fähren her", changed=True))
        report.v2_runner_on_unreachable(self.result("pier", "Look", msg="no route"))
        self.end(report, "quay", "pier")
        text = (tmp_path / "drift.json").read_text(encoding="utf-8")
        assert "Fähren" in text, "people read it as well"
        document = json.loads(text)
        assert len(document.pop("at")) == len("2026-01-02T03:04:05+00:00")
        assert document == {
            "hosts": {"quay": {"drift": [drift.row("stack", "Stelle Hafen für Fähren her")]}, "pier": {"drift": []}},
            "failed": {"pier": "no route"},
            "locked": [],
        }
        assert [path.name for path in tmp_path.iterdir()] == ["drift.json"]
