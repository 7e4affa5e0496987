"""The filters that read the WordPress reconciler's reports."""

from __future__ import annotations

import json
from typing import Any

from filter_plugins.wordpress import wordpress_changes, wordpress_problems

CANARY = "canary-5519-secret"


def result(site: str, changes: list[dict[str, Any]] | None = None, **further: Any) -> dict[str, Any]:
    """Return one result of the task that runs the reconciler; like the real one it holds the site's passwords."""
    report = {"changed": bool(changes), "changes": changes or []}
    return {
        "item": {"key": site, "value": {"users": [{"login": "x", "password": CANARY}]}},
        "invocation": {"stdin": CANARY},
        "rc": 0,
        "changed": bool(changes),
        "stdout": json.dumps(report),
        **further,
    }


def test_names_changes_of_changed_sites_only() -> None:
    changes: list[dict[str, Any]] = [
        {"what": "option blogname", "from": "Old", "to": "New"},
        {"what": "user x: password", "from": None, "to": None},
        {"what": "directory languages", "from": None, "to": "0755"},
    ]
    named = wordpress_changes([result("blog", changes), result("shop")])
    lines = ['option blogname: "Old" -> "New"', "user x: password", 'directory languages: none -> "0755"']
    assert named == {"blog": lines}


def test_problems_are_the_reconcilers_words_without_secrets() -> None:
    results = [
        result("blog"),
        result("shop", rc=1, stderr="title: must not be empty\n", stdout=""),
        {"item": result("wiki")["item"], "msg": "no such container", "failed": False},
    ]
    problems = wordpress_problems(results)
    assert problems == ["shop: title: must not be empty", "wiki: no such container"]
    assert CANARY not in repr(problems)


def test_no_problem() -> None:
    assert wordpress_problems([result("blog")]) == []
