"""Questions to containers: what the client is started with, and when it is asked again."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.load import load

module = load("roles/container/library/container_ask.py")
Answer = Callable[..., list[dict[str, Any]]]

CLIENT = """#!/bin/sh
echo "$@" >> "$FOLDER/calls"
number=$(wc -l < "$FOLDER/calls")
echo "out: $(cat)"
echo "err" >&2
exit "$(sed -n "${number}p" "$FOLDER/statuses")"
"""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let time go by only where the module waits."""
    waited: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    monkeypatch.setattr(module.time, "monotonic", lambda: 100.0 + sum(waited))
    return waited


@pytest.fixture
def answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_module: Callable[..., dict[str, Any]],
    pauses: list[float],  # noqa: ARG001 -- nobody waits in a test
) -> Answer:
    """Return a function that asks one question of a client that ends with one status after another."""
    client = tmp_path / "docker"
    client.write_text(CLIENT, encoding="utf-8")
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FOLDER", str(tmp_path))

    def run(question: dict[str, Any], *statuses: int, patience: int = 60) -> list[dict[str, Any]]:
        (tmp_path / "statuses").write_text("\n".join(str(status) for status in statuses) + "\n", encoding="utf-8")
        found = run_module(module, check=True, questions=[{"container": "shop-db", **question}], patience=patience)
        assert found["changed"] is False
        answers: list[dict[str, Any]] = found["answers"]
        return answers

    return run


def calls(folder: Path) -> list[str]:
    """Return what the client was started with."""
    return (folder / "calls").read_text(encoding="utf-8").splitlines()


def test_the_question_comes_by_standard_input(answer: Answer, tmp_path: Path) -> None:
    found = answer({"argv": ["sql", "--batch"], "stdin": "SELECT 1", "user": "612"}, 3)
    assert found == [{"container": "shop-db", "rc": 3, "stdout": "out: SELECT 1\n", "stderr": "err\n"}]
    assert calls(tmp_path) == ["exec --interactive --user 612 shop-db sql --batch"]


def test_nobody_is_named_who_is_not_declared(answer: Answer, tmp_path: Path) -> None:
    assert answer({"argv": ["true"]}, 0)[0]["rc"] == 0
    assert calls(tmp_path) == ["exec --interactive shop-db true"]


@pytest.mark.parametrize("said", ["out: loading", "err"])
def test_is_asked_again_while_it_says_so(answer: Answer, pauses: list[float], said: str) -> None:
    """On either of its outputs, until the patience ends."""
    question = {"argv": ["true"], "stdin": "loading", "again": said}
    assert answer(question, *[0] * 9, patience=3)[0]["rc"] == 0
    assert pauses == [1, 1, 1]


def test_is_not_asked_again_for_what_it_does_not_say(answer: Answer, pauses: list[float]) -> None:
    assert answer({"argv": ["true"], "again": "LOADING"}, 1)[0]["rc"] == 1
    assert pauses == []


def test_a_lost_command_is_given_again_a_few_times(answer: Answer, tmp_path: Path) -> None:
    assert answer({"argv": ["true"]}, 126, 126, 126, 0)[0]["rc"] == 0
    (tmp_path / "calls").unlink()
    assert answer({"argv": ["true"]}, *[126] * 9)[0]["rc"] == 126
    assert len(calls(tmp_path)) == 4


def test_no_client_is_a_failure_that_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run_module: Callable[..., dict[str, Any]]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = run_module(module, questions=[{"container": "x", "argv": ["true"]}])
    assert found["failed"]
    assert found["msg"].startswith("docker exec: ")
