"""Containers that others can do without: what is said of those that could not be brought into their state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from filter_plugins.container import build_problems, container_problems, failed_starts, without_noted
from filter_plugins.problems import problems_message
from tests.support.load import load

wait_module = load("roles/container/library/container_wait.py", "container_wait_independent")


def test_only_what_was_not_made_has_failed() -> None:
    results: list[dict[str, Any]] = [
        {"item": {"name": "shop"}, "msg": "no such image"},
        {"item": {"name": "shed"}, "container": {"Id": "1"}, "msg": ""},
        {"item": {"name": "barn"}, "container": {"Id": "2"}},
    ]
    assert failed_starts(results, "quay") == {"quay-shop": "no such image"}


def test_what_still_serves_is_told() -> None:
    failed = {"quay-a": "never healthy", "quay-b": "never healthy", "quay-c": "not made"}
    problems = container_problems(failed, {"quay-a": "ok"}, {"quay-b": "it has gone"})
    assert [problem["part"] for problem in problems] == ["container quay-a", "container quay-b", "container quay-c"]
    assert [problem["serves"] for problem in problems] == [
        "the container that it was to replace.",
        "nothing here: what it was to replace is back, but it has gone",
        "nothing here; all other containers do.",
    ]
    assert "docker logs quay-a" in problems_message(problems)


def test_build_that_failed_is_told_with_its_last_lines() -> None:
    results = [{"item": "gauge", "msg": "Error building x - code: 1, logs: ['one', 'two', 'three']"}, {"item": "other"}]
    gauge, other = build_problems(results, 60, 2, ["quay-gauge"], "quay")
    assert gauge["part"] == "image of gauge"
    assert gauge["what"].splitlines()[1:] == ["two", "three", "Error building x - code: 1"]
    assert gauge["serves"] == "the container of the image before it."
    assert "did not end within 60 s" in other["what"]
    assert other["serves"] == "everything but this service."


def test_what_was_noted_is_not_noted_again() -> None:
    assert without_noted({"quay-a": "x", "quay-b": "y"}, ["a"], "quay") == {"quay-b": "y"}


@pytest.mark.parametrize("tolerant", [True, False])
def test_tolerant_wait_names_what_is_not_healthy(
    monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]], tolerant: bool
) -> None:
    def look(names: Any, _path: str = "") -> dict[str, Any]:
        return {
            name: {"RestartCount": 9, "State": {"Health": {"Status": "healthy" if name == "a" else "unhealthy"}}}
            for name in names
        }

    monkeypatch.setattr(wait_module, "wait", lambda names, _timeout, _look: (look(names), 1.0))
    monkeypatch.setattr(wait_module, "log_of", lambda _name, _lines: "the last line")
    result = run_module(wait_module, False, containers=["a", "b"], timeout=5, tolerant=tolerant)
    if tolerant:
        assert list(result["reports"]) == ["a"]
        assert "the last line" in result["unhealthy"]["b"]
        assert not result.get("failed")
    else:
        assert result["failed"]
        assert "b did not become healthy" in result["msg"]
