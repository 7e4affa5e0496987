"""What is said of the time that stages take: tests/gate/times.py, and the lines that it adds up."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gate import times
from tests.gate.stages import TIMES_FILE
from tests.support.runs import PROJECT

STAGE = {"kind": "stage", "outcome": "passed", "begin": 100, "end": 400, "controller": 60.4, "machine": 500.0}


def run(begin: float, end: float, playbook: str = "converge.yml", **further: Any) -> dict[str, Any]:
    """Return the line of a playbook run."""
    line = {"kind": "run", "playbook": playbook, "check": False, "begin": begin, "end": end, "instance": 1.0}
    return {**line, "controller": 2.0, "builds": 0.0, "health": 0.0, **further}


LINES = [
    run(101, 105, "create.yml"),
    run(105, 106, "prepare.yml"),
    run(110, 120, check=True),
    run(120, 160, builds=20.0, health=7.0),
    run(160, 170),
    run(200, 230, health=4.0),
    {
        "kind": "tests",
        "begin": 180,
        "end": 390,
        "instance": 70.0,
        "controller": 30.0,
        "faults": 44.0,
        "files": {"molecule/redis/tests/test_redis.py": [3, 12.25], "tests/contract/test_faults.py": [2, 44.0]},
    },
    run(390, 395, "destroy.yml"),
    STAGE,
]


def test_a_stage_is_added_up() -> None:
    """Runs that its tests make count as tests, their builds and waiting as builds and waiting."""
    assert times.summary(LINES) == {
        "seconds": 300,
        "controller": 60,
        # Six runs of its own, one second each, and the tests with all in them.
        "instance": 76,
        "machine_busy": 500,
        "phases": {"machine": 10, "converge": 40, "runs": 20, "tests": 210, "builds": 20, "health": 11, "faults": 44},
        "files": {"molecule/redis/tests/test_redis.py": [3, 12.2], "tests/contract/test_faults.py": [2, 44.0]},
    }


def test_a_run_inside_another_is_a_part_of_it() -> None:
    found = times.summary([run(110, 150, "site.yml", builds=30.0), run(100, 160, "golden.yml"), STAGE])
    assert found is not None
    assert found["phases"] | {"converge": 60, "runs": 0, "builds": 30} == found["phases"]
    assert found["instance"] == 1


@pytest.mark.parametrize("lines", [[], [run(1, 2)], [{**STAGE, "outcome": "failed"}]], ids=["none", "killed", "failed"])
def test_a_stage_that_did_not_pass_is_not_recorded(lines: list[dict[str, Any]]) -> None:
    """Its time says nothing of the next one's."""
    assert times.summary(lines) is None


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with two scenarios, one of which was measured just now."""
    for name in ("redis", "nginx"):
        (tmp_path / "molecule" / name).mkdir(parents=True)
        (tmp_path / "molecule" / name / "molecule.yml").touch()
    for folder in (tmp_path / times.MEASURED, tmp_path / "tests/gate", (tmp_path / times.PAGE).parent):
        folder.mkdir(parents=True)
    (tmp_path / "tests/gate/stages.yml").write_text("all: {nginx: why}", encoding="utf-8")
    shutil.copytree(PROJECT / "molecule/redis/tests", tmp_path / "molecule/redis/tests")
    text = "\n".join(json.dumps(line) for line in LINES)
    (tmp_path / times.MEASURED / "molecule-redis.jsonl").write_text(text, encoding="utf-8")
    marks = "\n".join(
        f"<!-- {n}: made by tests/gate/times.py -->\nan old table\n<!-- end of {n} -->" for n in ("times", "tests")
    )
    (tmp_path / times.PAGE).write_text(f"before\n{marks}\nafter\n", encoding="utf-8")
    return tmp_path


def test_what_was_measured_is_kept(project: Path) -> None:
    """What was not measured now keeps what was recorded of it; a scenario that is no more goes."""
    before = {"molecule-nginx": {"seconds": 7}, "molecule-gone": {"seconds": 8}, "lint-yaml": {"seconds": 3}}
    (project / TIMES_FILE).write_text(json.dumps({"stages": before}), encoding="utf-8")
    times.keep(project)
    stages = json.loads((project / TIMES_FILE).read_text(encoding="utf-8"))["stages"]
    assert {name: stage["seconds"] for name, stage in stages.items()} == {
        "lint-yaml": 3,
        "molecule-nginx": 7,
        "molecule-redis": 300,
    }


def test_the_page_has_the_tables(project: Path) -> None:
    times.keep(project)
    page = times.page(project)
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "an old table" not in page
    assert "| molecule-redis | 300 | 60 | 76 | 10 | 40 | 20 | 210 | 20 | 11 | 44 |" in page
    first = times.what(PROJECT / "molecule/redis/tests/test_redis.py")
    link = "[test_redis.py](../../molecule/redis/tests/test_redis.py)"
    assert f"| {first} ({link}) | molecule-redis | `make test` | 3 | 12 |" in page
    # A file that is no more is not said to be tested.
    assert "test_faults.py" not in page


def test_a_page_without_a_place_for_them_is_refused(project: Path) -> None:
    times.keep(project)
    (project / times.PAGE).write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="0 places"):
        times.page(project)


@pytest.fixture
def stage_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in which scripts/stage works, with a record that is not that of the job which runs this."""
    monkeypatch.setenv("STAGE_RECORD", str(tmp_path / "record"))
    (tmp_path / "scripts").mkdir()
    for name in ("environment", "stage"):
        shutil.copy(PROJECT / "scripts" / name, tmp_path / "scripts" / name)
    return tmp_path


@pytest.mark.parametrize(("command", "outcome"), [("true", "passed"), ("false", "failed")])
def test_a_stage_notes_its_time(stage_folder: Path, command: str, outcome: str) -> None:
    """It spends two tenths of a second of processor time, its children's; the kernel counts it in ticks."""
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    script = f'"{sys.executable}" -c "{busy}"; echo {{}} >> "$STAGE_TIMES"; {command}'
    done = subprocess.run(["scripts/stage", "toy", "sh", "-c", script], cwd=stage_folder, check=False)
    assert (done.returncode == 0) is (command == "true")
    assert (stage_folder / "record").read_text(encoding="utf-8").split()[:2] == [outcome, "toy"]
    first, last = (stage_folder / times.MEASURED / "toy.jsonl").read_text(encoding="utf-8").splitlines()
    assert first == "{}"
    line = json.loads(last)
    assert line["outcome"] == outcome
    assert 0.1 <= line["controller"] <= 5
    assert line["machine"] >= 0.1
    assert line["end"] >= line["begin"]


TESTS = """
import time, pytest

def test_one():
    time.sleep(0.2)

@pytest.mark.destructive
@pytest.mark.parametrize("n", [1, 2])
def test_more(n):
    time.sleep(0.1)
"""


@pytest.mark.parametrize("distributed", [[], ["-n", "2"]], ids=["alone", "distributed"])
def test_a_session_notes_its_tests(tmp_path: Path, distributed: list[str]) -> None:
    (tmp_path / "test_toy.py").write_text(TESTS, encoding="utf-8")
    file = tmp_path / "lines"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "STAGE_TIMES": str(file)}
    for name in ("PYTEST_ADDOPTS", "MOLECULE_SCENARIO_NAME", "PYTEST_XDIST_WORKER"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.plugin", "--destructive", *distributed, "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    count, seconds = line["files"]["test_toy.py"]
    assert count == 3
    assert 0.4 <= seconds < 5
    assert 0.2 <= line["faults"] < seconds
    assert line["instance"] == 0


def test_nobody_is_measured_who_did_not_ask(tmp_path: Path) -> None:
    (tmp_path / "test_toy.py").write_text("def test_it(): ...", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop("STAGE_TIMES", None)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.plugin", "."], cwd=tmp_path, env=environment, check=True
    )
    assert {path.name for path in tmp_path.iterdir()} <= {"test_toy.py", "__pycache__", ".pytest_cache"}


PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - {name: Build | Wait, ansible.builtin.command: sleep 0.3, changed_when: false}
    - {name: Healthy | Wait, ansible.builtin.command: sleep 0.1, changed_when: false}
    - {name: Other | Wait, ansible.builtin.command: sleep 0.2, changed_when: false}
"""


def test_a_run_notes_its_tasks(tmp_path: Path) -> None:
    """What a run builds and waits for, by the names that the container role's tasks have."""
    play, file = tmp_path / "toy.yml", tmp_path / "lines"
    play.write_text(PLAY, encoding="utf-8")
    environment = {
        **os.environ,
        "STAGE_TIMES": str(file),
        "ANSIBLE_CALLBACK_PLUGINS": str(PROJECT / "molecule/shared/callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "stage_times",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    }
    command = ["ansible-playbook", "--inventory=localhost,", str(play)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    assert (line["playbook"], line["check"]) == ("toy.yml", False)
    assert 0.3 <= line["builds"] < line["end"] - line["begin"] - 0.3
    assert 0.1 <= line["health"] < line["end"] - line["begin"] - 0.5
    assert line["controller"] > 0
    names = {task.partition(" | ")[0] for task in container_task_names()}
    assert {"Build", "Healthy", "Await", "Bootstrap"} <= names


def container_task_names() -> set[str]:
    """Return the names of the tasks whose time is told apart, as the roles have them."""
    files = [*(PROJECT / "roles/container/tasks").glob("*.yml"), *(PROJECT / "roles/base_image/tasks").glob("*.yml")]
    return {name for file in files for name in re.findall(r"- name: (.*)", file.read_text(encoding="utf-8"))}
