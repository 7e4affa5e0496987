"""What a run is refused for before it begins: tags that nothing has, and a start in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from callback_plugins.invocation import start_problems, tag_problems
from tests.support.runs import PROJECT

TAGS = {"nginx", "mariadb", "always", "never"}


@pytest.mark.parametrize("wanted", [[], ["all"], ["nginx", "mariadb"], ["never"], ["tagged"], ["notest"]])
def test_known_tags_pass(wanted: list[str]) -> None:
    assert tag_problems("--tags", wanted, TAGS) == []


def test_unknown_tags_are_named_with_those_that_there_are() -> None:
    assert tag_problems("--tags", ["preflight", "ngnix", "nginx"], TAGS) == [
        "--tags ngnix: no task has this tag, did you mean nginx? There are mariadb, nginx.",
        "--tags preflight: no task has this tag. There are mariadb, nginx.",
    ]


def test_a_start_in_the_middle_is_refused() -> None:
    assert start_problems(None) == []
    (problem,) = start_problems("Run it")
    assert problem.startswith("--start-at-task 'Run it': a run begins at its beginning")


PLAY = """---
- name: Leave a mark
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Leave it
      ansible.builtin.copy:
        content: here
        dest: "{{ mark }}"
        mode: "0600"
      tags: [always, nginx]
"""


def run(folder: Path, *options: str) -> tuple[int, str, bool]:
    """Run a small playbook with the project's settings (never the project's own: it would be for this machine).

    :return: exit status, output, and whether a task was run.
    """
    (folder / "play.yml").write_text(PLAY, encoding="utf-8")
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            "play.yml",
            "-i",
            "localhost,",
            f"-emark={folder}/mark",
            *options,
        ],
        cwd=folder,
        env={**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr, (folder / "mark").exists()


def test_a_run_with_known_tags_runs(tmp_path: Path) -> None:
    status, output, ran = run(tmp_path, "--tags", "nginx")
    assert (status, ran) == (0, True), output


@pytest.mark.parametrize(
    "options", [["--tags", "preflight"], ["--skip-tags", "ngnix"], ["--start-at-task", "no such task"]]
)
def test_a_run_ends_before_it_has_begun(tmp_path: Path, options: list[str]) -> None:
    """Not even what is always run, such as making an installation key, is done."""
    status, output, ran = run(tmp_path, *options)
    assert (status, ran) == (5, False), output
    assert f"{options[0]} " in output
    assert "Nothing was changed." in output
