"""`make test` leaves out what is marked as thorough, and only that; `make test-all` leaves out nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import plugin
from tests.support.runs import PROJECT

TESTS = """
import pytest

@pytest.mark.parametrize("value", ["first", pytest.param("second", marks=pytest.mark.thorough)])
def test_it(value): ...

@pytest.mark.thorough
def test_more(): ...
"""


@pytest.mark.parametrize(
    ("thorough", "run"),
    [("", {"test_it[first]"}), ("yes", {"test_it[first]", "test_it[second]", "test_more"})],
    ids=["test", "test-all"],
)
def test_marked_tests_are_deselected(tmp_path: Path, thorough: str, run: set[str]) -> None:
    (tmp_path / "test_marked.py").write_text(TESTS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PRESSDOCK_TEST_THOROUGH": thorough}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.plugin", "--strict-markers", "--verbose", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"::(\S+) PASSED", done.stdout)) == run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with scripts/test, stages that only say what they are, and every scenario's name."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / "scripts/test", tmp_path / "scripts/test")
    for name, command in {"lint": "true", "stage": 'echo "$1 ${PRESSDOCK_TEST_THOROUGH-}" >> stages'}.items():
        (tmp_path / "scripts" / name).write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
        (tmp_path / "scripts" / name).chmod(0o755)
    for file in PROJECT.glob("molecule/*/molecule.yml"):
        scenario = tmp_path / "molecule" / file.parent.name
        scenario.mkdir(parents=True)
        (scenario / file.name).touch()
    return tmp_path


def stages(project: Path, *arguments: str) -> dict[str, str]:
    """Run scripts/test; return the scenarios that it ran, and whether each was to be thorough."""
    (project / "stages").unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PRESSDOCK_TEST_THOROUGH"}
    subprocess.run(["scripts/test", *arguments], cwd=project, env=environment, check=True, capture_output=True)
    lines = [line.partition(" ") for line in (project / "stages").read_text(encoding="utf-8").splitlines()]
    return {name.removeprefix("molecule-"): thorough for name, _, thorough in lines if name.startswith("molecule-")}


def test_scenarios_that_are_left_out(project: Path) -> None:
    listed = re.search(r"(?m)^thorough=\((.*)\)$", (project / "scripts/test").read_text(encoding="utf-8"))
    assert listed
    left_out = set(listed[1].split())
    scenarios = {file.parent.name for file in project.glob("molecule/*/molecule.yml")}
    assert left_out < scenarios
    few, all_of_them = stages(project), stages(project, "--all")
    assert set(all_of_them) - {"golden"} == scenarios
    assert set(few) - {"golden"} == scenarios - left_out
    assert set(few.values()) == {""}
    assert set(all_of_them.values()) == {"yes"}


@pytest.mark.parametrize(("thorough", "names"), [("", "a1 a2 a3 b1 c1"), ("yes", "a1 a2 a3 a4 b1 c1")])
def test_of_many_containers_alike_three_are_asked(monkeypatch: pytest.MonkeyPatch, thorough: str, names: str) -> None:
    """Alike are those of one service with one command; of every kind there is one."""

    def container(name: str, service: str, command: str) -> Any:
        config = {"Labels": {"pressdock.service": service}, "Cmd": [command]}
        return SimpleNamespace(name=name, inspect={"Config": config})

    monkeypatch.setenv(plugin.THOROUGH, thorough)
    alike = [container(f"a{number}", "toy", "run") for number in (1, 2, 3, 4)]
    containers = [*alike, container("b1", "toy", "other"), container("c1", "web", "run")]
    assert " ".join(one.name for one in plugin.shown(containers)) == names
