"""What the timer leaves for monitoring, by what the look for drift ended with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.load import load
from tests.support.runs import PROJECT

publish_drift = load("scripts/publish_drift.py")

DRIFT = {"part": "site blog", "what": "option blogname", "declared": "a", "running": "b", "since": None}


def report(hosts: dict[str, int], failed: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a report with so many differences of each host."""
    found = {host: {"drift": [DRIFT] * count} for host, count in hosts.items()}
    return {"at": "2026-01-02T03:04:05+00:00", "hosts": found, "failed": failed or {}, "locked": []}


def figures(text: str) -> dict[str, float]:
    """Read the figures as Prometheus does; a name has its host behind it where it has one."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type == "gauge" for family in families)
    return {
        " ".join([sample.name.removeprefix("pressdock_drift_"), *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


class Project:
    """A folder whose scripts/drift writes a given report and ends with a given status, and where results go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report, self.metrics = folder / "results/drift.json", folder / "results/drift.prom"
        self.report.parent.mkdir()
        (folder / "scripts").mkdir()

    def publish(self, status: int, document: dict[str, Any] | None, *arguments: str) -> int:
        script = self.folder / "scripts/drift"
        given = self.folder / "given.json"
        given.write_text(json.dumps(document), encoding="utf-8")
        write = f'cp {given} "$2"' if document is not None else "true"
        script.write_text(f'#!/bin/sh\n{write}\nshift 2; echo "$@" > {self.folder}/arguments\nexit {status}\n')
        script.chmod(0o755)
        return int(publish_drift.publish(self.report, self.metrics, arguments, self.folder))

    @property
    def figures(self) -> dict[str, float]:
        return figures(self.metrics.read_text(encoding="utf-8"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize(("status", "counts"), [(0, {"pier": 0}), (2, {"pier": 3, "quay": 0})])
def test_what_was_found_out(project: Project, status: int, counts: dict[str, int]) -> None:
    before = int(time.time())
    assert project.publish(status, report(counts), "--limit=pier", "-v") == 0
    assert json.loads(project.report.read_text()) == report(counts)
    found = project.figures
    assert before <= found.pop("last_run_timestamp_seconds") <= time.time() + 1
    assert found == {"success": 1, **{f"differences {host}": count for host, count in counts.items()}}
    assert [oct(path.stat().st_mode & 0o777) for path in (project.report, project.metrics)] == ["0o644", "0o644"]
    assert sorted(path.name for path in project.report.parent.iterdir()) == ["drift.json", "drift.prom"]
    assert (project.folder / "arguments").read_text() == "--limit=pier -v\n"


def test_what_could_not_be_found_out(project: Project) -> None:
    """A host that was not reached has no number of differences: nobody knows it."""
    assert project.publish(1, report({"pier": 0, "quay": 0}, {"quay": "unreachable"})) == 1
    found = project.figures
    assert found.pop("last_run_timestamp_seconds") > 0
    assert found == {"success": 0}
    assert json.loads(project.report.read_text())["failed"] == {"quay": "unreachable"}


def test_no_host_was_compared(project: Project) -> None:
    """What was found of the hosts the last time does not stay as if it were still so."""
    assert project.publish(2, report({"pier": 3})) == 0
    assert project.publish(1, report({})) == 1
    found = project.figures
    assert found.pop("last_run_timestamp_seconds") > 0
    assert found == {"success": 0}
    assert json.loads(project.report.read_text())["hosts"] == {}


def test_nothing_was_even_begun(project: Project) -> None:
    """The report of the last time stays: it says when it was made."""
    assert project.publish(2, report({"pier": 3})) == 0
    assert project.publish(1, None) == 1
    assert json.loads(project.report.read_text()) == report({"pier": 3})
    assert project.figures["success"] == 0


def test_another_run_is_no_failure_and_replaces_nothing(project: Project) -> None:
    assert project.publish(2, report({"pier": 3})) == 0
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in (project.report, project.metrics)]
    assert project.publish(3, report({"pier": 0}, {"pier": "Another run works"})) == 0
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in (project.report, project.metrics)] == before


def test_status_without_a_report_is_no_success(project: Project) -> None:
    assert project.publish(0, None) == 1
    assert project.figures["success"] == 0


def test_whoever_reads_meanwhile_finds_whole_files(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector takes every file in its directory with its ending."""
    assert project.publish(2, report({"pier": 3})) == 0
    old = (project.report.read_bytes(), project.metrics.read_bytes())
    sync = os.fsync
    names: set[str] = set()
    found: list[tuple[bytes, bytes]] = []

    def synced(descriptor: int) -> None:
        names.update(path.name for path in project.report.parent.iterdir() if path.suffix in (".json", ".prom"))
        found.append((project.report.read_bytes(), project.metrics.read_bytes()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    assert project.publish(0, report({"pier": 0})) == 0
    new = (project.report.read_bytes(), project.metrics.read_bytes())
    # Of each file its content and its name.
    assert found == [old, (new[0], old[1]), (new[0], old[1]), new]
    assert names == {"drift.json", "drift.prom"}


def test_names_of_hosts_are_quoted() -> None:
    name = 'a "pier" \\ with\na line'
    assert figures(publish_drift.metrics(report({name: 2}), True, 5.0)) == {
        f"differences {name}": 2,
        "last_run_timestamp_seconds": 5,
        "success": 1,
    }


def test_arguments_are_handed_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def publish(*arguments: Any) -> int:
        given.append(arguments)
        return 7

    monkeypatch.setattr(publish_drift, "publish", publish)
    monkeypatch.setattr("sys.argv", ["publish_drift.py", str(project.report), "m.prom", "--", "--limit=pier", "-v"])
    assert publish_drift.main() == 7
    assert given == [(project.report, Path("m.prom"), ["--limit=pier", "-v"])]


def test_the_script_finds_its_project_from_anywhere(tmp_path: Path) -> None:
    script = PROJECT / "scripts/publish_drift.py"
    done = subprocess.run([sys.executable, "-I", script, "--help"], cwd=tmp_path, capture_output=True, check=True)
    assert b"report" in done.stdout
    assert publish_drift.PROJECT == PROJECT
