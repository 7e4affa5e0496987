"""bench/run.py: how a converge's stages are told from its tasks."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.load import load
from tests.support.runs import PROJECT

BUILD = PROJECT / "roles" / "container" / "tasks" / "build.yml"

bench = load("bench/run.py", "bench_run")

ANNOUNCED = [
    (1.0, "preflight : Check"),
    (2.0, "docker : Ask the engine"),
    (3.0, "container : Build | Write the build contexts"),
    (4.0, "container : Build | Wait for base_image"),
    (10.0, "container : Build | Write the build contexts"),
    (11.0, "container : Build | Wait for mariadb, wordpress"),
    (60.0, "container : Prepare | Keep the directories and secret files"),
    (62.0, "mariadb : Validating arguments"),
    (63.0, "container : Run | Start the containers"),
    (70.0, "nginx : Look after the certificates"),
    (72.0, "docker : Ask again"),
]


def test_stages_follow_one_another_and_miss_nothing() -> None:
    assert bench.stages_of(ANNOUNCED, 75.0) == {
        "key and preflight": 2.0,
        "engine": 4.0,
        "images: base_image": 7.0,
        "images: mariadb, wordpress": 50.0,
        "networks, volumes, secrets": 2.0,
        "service mariadb": 8.0,
        "service nginx": 2.0,
    }


@pytest.mark.parametrize("task", ["Build | Write", "Build | Wait for"])
def test_the_role_still_names_its_tasks_so(task: str) -> None:
    assert f"- name: {task}" in BUILD.read_text(encoding="utf-8")


TASKS = """---
- name: Tasks of known length
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Short before
      ansible.builtin.set_fact:
        known: true
    - name: Long
      ansible.builtin.wait_for:
        timeout: 2
    - name: Left out
      ansible.builtin.set_fact:
        known: true
      when: false
    - name: Short after
      ansible.builtin.set_fact:
        known: true
"""


def test_a_tasks_time_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.yml").write_text(TASKS, encoding="utf-8")
    # With the project's settings, by which a task that is skipped is not shown.
    shutil.copy(PROJECT / "ansible.cfg", tmp_path)
    monkeypatch.setenv("ANSIBLE_CALLBACK_PLUGINS", str(PROJECT / "callback_plugins"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    seconds = bench.play([]).tasks
    assert list(seconds) == ["Short before", "Long", "Left out", "Short after"]
    assert max(seconds, key=lambda name: seconds[name]) == "Long"


def test_a_task_that_is_skipped_begins_no_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = TASKS.replace("Left out", "Remove superseded images").replace("Short after", "'mariadb : Short after'")
    (tmp_path / "site.yml").write_text(tasks.replace("timeout: 2", "timeout: 1"), encoding="utf-8")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert list(bench.play([]).stages) == ["key and preflight", "service mariadb"]
