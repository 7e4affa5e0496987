"""Problems that hold up nothing else: what is noted, and what is told at the end."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.problems import merge_problems, problem_lines, problem_told, problems_message

ROOT = Path(__file__).resolve().parents[2]
THEME = {
    "part": "site shop",
    "what": 'theme: "x" is nowhere\nthere are: y, z',
    "serves": "the site as it was.",
    "advice": "declare another one.",
}
BUILD = {"part": "image of gauge", "what": "could not be built", "serves": "all else.", "advice": "read the log."}


def test_message_names_all_with_what_serves_and_what_to_do() -> None:
    assert problems_message([THEME, BUILD]).splitlines() == [
        "2 problems. Everything else was brought into its state, and serves.",
        '- site shop: theme: "x" is nowhere',
        "    there are: y, z",
        "    Still serves: the site as it was.",
        "    What to do: declare another one.",
        "- image of gauge: could not be built",
        "    Still serves: all else.",
        "    What to do: read the log.",
    ]
    assert problems_message([BUILD]).startswith("1 problem. ")


def test_what_was_noted_before_is_told_once() -> None:
    assert merge_problems([THEME], [BUILD, THEME, BUILD]) == [THEME, BUILD]


def test_short_forms_are_lines() -> None:
    assert problem_lines([THEME]) == ['site shop: theme: "x" is nowhere']
    assert problem_told(THEME) == 'theme: "x" is nowhere'


@pytest.mark.parametrize("field", ["part", "what", "serves", "advice"])
def test_problem_that_says_nothing_is_refused(field: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"lacks {field}"):
        merge_problems([], [{**THEME, field: " \n"}])


def play(tmp_path: Path, deferred: bool, *arguments: str, entries: list[list[dict[str, str]]]) -> tuple[int, str]:
    """Note problems one after the other, then tell them; return Ansible's status and what it has printed."""
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.include_role": {"name": "problems"}, "vars": {"problems_noted": noted}} for noted in entries
    ]
    tasks.append({"ansible.builtin.debug": {"msg": "everything else"}})
    tasks.append({"ansible.builtin.include_role": {"name": "problems", "tasks_from": "tell"}})
    document = [
        {"hosts": "localhost", "gather_facts": False, "vars": {"problems_deferred": deferred}, "tasks": tasks},
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [
                {"ansible.builtin.include_role": {"name": "problems", "tasks_from": "forget"}},
                {"ansible.builtin.include_role": {"name": "problems", "tasks_from": "tell"}},
            ],
        },
    ]
    (tmp_path / "play.yml").write_text(json.dumps(document), encoding="utf-8")
    done = subprocess.run(
        ["ansible-playbook", "--inventory", "localhost,", "--connection", "local", *arguments, tmp_path / "play.yml"],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "COLUMNS": "1000",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_run_goes_on_and_ends_with_all(tmp_path: Path) -> None:
    status, told = play(tmp_path, True, entries=[[THEME], [BUILD]])
    assert status != 0
    before, _, after = told.partition("everything else")
    assert 'site shop: theme: "x" is nowhere' in before, "what ends the run later would hide it"
    assert "2 problems. Everything else was brought into its state" in after
    assert "What to do: read the log." in after
    assert "failed=1" in after


def test_play_that_does_not_tell_ends_at_the_first(tmp_path: Path) -> None:
    """A role that runs alone must not look as if all were well."""
    status, told = play(tmp_path, False, entries=[[THEME], [BUILD]])
    assert status != 0
    assert "1 problem. " in told
    assert "everything else" not in told
    assert "gauge" not in told


def test_check_run_says_the_same_and_lists_it_as_a_difference(tmp_path: Path) -> None:
    status, told = play(tmp_path, True, "--check", entries=[[THEME], [BUILD]])
    assert status == 0, told
    assert 'site shop: theme: "x" is nowhere' in told
    # The loop counts once.
    assert "changed=1" in told
    assert "everything else" in told


def test_without_problems_nothing_is_said_and_nothing_fails(tmp_path: Path) -> None:
    status, told = play(tmp_path, True, entries=[])
    assert status == 0, told
    assert "changed=0" in told
