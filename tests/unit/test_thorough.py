"""`make test` leaves out what is marked as thorough, and only that; `make test-all` leaves out nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.contract import conftest as contract_conftest
from tests.gate.stages import GATES, GOLDEN, scenarios
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
    for name in ("environment", "test"):
        shutil.copy(PROJECT / "scripts" / name, tmp_path / "scripts" / name)
    shutil.copytree(PROJECT / "tests/gate", tmp_path / "tests/gate")
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
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TEST_JOBS": "1"}
    subprocess.run(["scripts/test", *arguments], cwd=project, env=environment, check=True, capture_output=True)
    lines = [line.partition(" ") for line in (project / "stages").read_text(encoding="utf-8").splitlines()]
    return {name.removeprefix("molecule-"): thorough for name, _, thorough in lines if name.startswith("molecule-")}


def test_scenarios_of_each_command(project: Path) -> None:
    """None is in no command, and `make test-all` has all of `make test`."""
    found = scenarios(project)
    assert set(found) == {file.parent.name for file in project.glob("molecule/*/molecule.yml")}
    of = {gate: {name for name, its in found.items() if its == gate} for gate in GATES}
    assert of["quick"]
    assert of["all"]
    few, many, all_of_them = stages(project, "--quick"), stages(project), stages(project, "--all")
    assert set(few) - {GOLDEN} == of["quick"]
    assert set(many) - {GOLDEN} == of["test"]
    assert set(all_of_them) - {GOLDEN} == of["test"] | of["all"]
    assert set((few | many).values()) == {""}
    assert set(all_of_them.values()) == {"yes"}


def test_the_longest_scenario_comes_first(project: Path) -> None:
    """What all start from before it; one that was never measured is taken for the longest."""
    known = {"molecule-nginx": 30, "molecule-drift": 200, "molecule-redis": 100, "molecule-ftp": 100}
    document = {"stages": {name: {"seconds": seconds} for name, seconds in known.items()}}
    (project / "tests/gate/times.json").write_text(json.dumps(document), encoding="utf-8")
    for name in set(scenarios(project)) - {"nginx", "drift", "redis", "ftp", "wordpress"}:
        shutil.rmtree(project / "molecule" / name)
    (project / "tests/gate/stages.yml").write_text("all: {}", encoding="utf-8")
    assert list(stages(project)) == [GOLDEN, "wordpress", "drift", "ftp", "redis", "nginx"]


def test_a_gate_of_what_there_is_not_is_refused(project: Path) -> None:
    (project / "tests/gate/stages.yml").write_text("all: {nowhere: why}", encoding="utf-8")
    with pytest.raises(ValueError, match="nowhere"):
        scenarios(project)


@pytest.mark.parametrize(("scenario", "marks"), [("redis", ["thorough"]), ("default", []), ("container", []), ("", [])])
def test_the_contract_is_asked_where_it_tells_something_new(
    monkeypatch: pytest.MonkeyPatch, scenario: str, marks: list[str]
) -> None:
    """In other scenarios its tests are thorough; a scenario's own tests are not, whatever it is."""
    monkeypatch.setenv("MOLECULE_SCENARIO_NAME", scenario)
    made: dict[str, list[str]] = {"tests/contract/test_faults.py": [], "molecule/redis/tests/test_redis.py": []}
    items: Any = [
        SimpleNamespace(path=PROJECT / file, add_marker=lambda mark, given=given: given.append(mark.name))
        for file, given in made.items()
    ]
    contract_conftest.pytest_collection_modifyitems(items)
    assert list(made.values()) == [marks, []]


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
