"""The filters that read the WordPress reconciler's reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.wordpress import (
    wordpress_change,
    wordpress_changes,
    wordpress_foreign,
    wordpress_last,
    wordpress_missing,
    wordpress_notes,
    wordpress_problems,
    wordpress_questions,
    wordpress_reasons,
    wordpress_unchanged,
    wordpress_worth_a_look,
)

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


@pytest.mark.parametrize("wrong", [{"what": "x", "from": "y"}, None, "x", 5])
def test_change_of_another_form_is_refused(wrong: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="needs a change with what, from and to"):
        wordpress_change(wrong)


def test_change_in_several_places_ends_in_their_number() -> None:
    changes: list[dict[str, Any]] = [
        {"what": "address in a.b", "from": "https://old", "to": "https://new", "values": 12},
        {"what": "address in a.c", "from": "https://old", "to": "https://new", "values": 1},
        {"what": "address in a.d: left alone (5, 7)", "from": None, "to": None, "values": 2},
    ]
    assert wordpress_changes([result("blog", changes)]) == {
        "blog": [
            'address in a.b: "https://old" -> "https://new" (12 values)',
            'address in a.c: "https://old" -> "https://new" (1 value)',
            "address in a.d: left alone (5, 7) (2 values)",
        ]
    }


def test_problems_are_the_reconcilers_words_without_secrets() -> None:
    results = [
        result("blog"),
        result("shop", rc=1, stderr="title: must not be empty\n", stdout=""),
        {"item": result("wiki")["item"], "msg": "no such container", "failed": False},
    ]
    problems = wordpress_problems(results)
    assert [(problem["part"], problem["what"]) for problem in problems] == [
        ("site shop", "title: must not be empty"),
        ("site wiki", "no such container"),
    ]
    assert "wordpress_sites.shop" in problems[0]["advice"]
    assert [problem["what"] for problem in wordpress_problems(results, check=True)] == [
        "could not be compared: title: must not be empty",
        "could not be compared: no such container",
    ]
    assert CANARY not in repr(problems)


def test_no_problem() -> None:
    assert wordpress_problems([result("blog")]) == []
    assert wordpress_reasons([result("blog")]) == {}


def test_each_site_that_could_not_be_compared_has_a_reason() -> None:
    results = [
        result("blog"),
        result("shop", rc=1, stderr="\n first line\nsecond line\n", stdout=""),
        result("wiki", rc=137, stderr="\n", stdout=""),
        result("shed", rc=124, stderr="", stdout=""),
    ]
    reasons = wordpress_reasons(results)
    assert reasons.pop("shed")[0].startswith("it took too long, and was ended")
    assert reasons == {"shop": ["first line\nsecond line"], "wiki": ["no answer, exit status 137"]}
    assert CANARY not in repr(reasons)


def test_site_that_went_on_has_all_its_problems() -> None:
    """A reconciler that went on after one of them names them in its report; what it did is told as well."""
    changes = [{"what": "option x", "from": "a", "to": "b"}]
    report = {"changed": True, "changes": changes, "refused": ["plugin a: refused", "plugin b: not there"]}
    partly = {**result("blog", stdout=json.dumps(report)), "rc": 1}
    assert wordpress_reasons([partly]) == {"blog": ["plugin a: refused", "plugin b: not there"]}
    assert wordpress_changes([partly]) == {"blog": ['option x: "a" -> "b"']}
    # With nothing but problems left it is asked again by every run, for they must be told again.
    answer = {"rc": 1, "stdout": json.dumps({"changed": False, "changes": [], "refused": ["plugin a: refused"]})}
    assert wordpress_unchanged({"wordpress-blog": answer}, ["blog"]) == []


def test_package_that_did_not_arrive_is_the_problem_of_its_site() -> None:
    lacking = result("blog", stdout=json.dumps({"changed": True, "changes": [], "missing": ["d1"]}))
    delivered = [{"item": {"site": "blog", "digest": "d1"}, "undelivered": "no room"}]
    assert wordpress_reasons([lacking, result("shop")], delivered) == {"blog": ["no room"]}
    arrived = [{"item": {"site": "blog", "digest": "d1"}}]
    assert wordpress_reasons([lacking], arrived) == {"blog": ["a package was delivered, and is not there"]}


def test_site_that_lacks_packages_is_asked_twice() -> None:
    lacking = result("blog", stdout=json.dumps({"changed": True, "changes": [], "missing": ["d1", "d2"]}))
    first = [lacking, result("shop"), result("wiki", rc=1, stdout="")]
    assert wordpress_missing(first) == [{"site": "blog", "digest": "d1"}, {"site": "blog", "digest": "d2"}]
    changes = [{"what": "files of plugin x", "from": None, "to": "1.0"}]
    # The second result is not reported as a change: the first one was.
    again = result("blog", changes, changed=False)
    last = wordpress_last(first, [again])
    assert last == [again, *first[1:]]
    assert wordpress_changes(last) == {"blog": ['files of plugin x: none -> "1.0"']}


def test_names_what_nobody_declares() -> None:
    found = result("blog", stdout=json.dumps({"changes": [], "foreign": ["plugin x", "theme y"]}))
    assert wordpress_foreign([found, result("shop")]) == {"blog": ["plugin x", "theme y"]}


def test_questions_only_compare() -> None:
    (question,) = wordpress_questions({"blog": {"title": "Ahoi", "check": False}}, ["php", "x.php"])
    assert question["container"] == "wordpress-blog"
    assert question["argv"] == ["php", "x.php"]
    assert json.loads(question["stdin"]) == {"title": "Ahoi", "check": True, "look": False}
    (question,) = wordpress_questions({"blog": {"look": False}}, ["php", "x.php"], look=True)
    assert json.loads(question["stdin"]) == {"check": True, "look": True}


def test_unchanged_sites_are_those_that_answered_so() -> None:
    """Neither one that differs, nor one that lacks a package, nor one whose answer failed or never came."""

    def answer(rc: int = 0, **report: Any) -> dict[str, Any]:
        return {"rc": rc, "stdout": json.dumps({"changed": False, "changes": [], **report}), "stderr": ""}

    answers = {
        "wordpress-same": answer(foreign=["plugin x"]),
        "wordpress-other": answer(changed=True, changes=[{"what": "a", "from": "b", "to": "c"}]),
        "wordpress-lacking": answer(missing=["abcd"]),
        "wordpress-broken": answer(rc=1),
        "wordpress-refused": answer(rc=1, changed=True, refused=["plugin x: no"]),
        "mariadb": answer(),
    }
    unchanged = wordpress_unchanged(answers, ["same", "other", "lacking", "broken", "refused", "silent"])
    assert [entry["item"]["key"] for entry in unchanged] == ["same"]
    assert wordpress_foreign(unchanged) == {"same": ["plugin x"]}


def test_what_was_done_besides_a_refusal_is_reported() -> None:
    """The status says that the site failed; its report says what has changed all the same."""
    report = {
        "changed": True,
        "changes": [{"what": "plugin y", "from": "inactive", "to": "active"}],
        "notes": ["plugin y: x"],
        "refused": ["plugin x: no", "plugin z: neither"],
    }
    refused = {**result("blog"), "rc": 1, "stdout": json.dumps(report), "stderr": "plugin x: no\nplugin z: neither\n"}
    assert wordpress_changes([refused]) == {"blog": ['plugin y: "inactive" -> "active"']}
    assert wordpress_notes([refused]) == {"blog": ["plugin y: x"]}
    assert [problem["what"] for problem in wordpress_problems([refused])] == ["plugin x: no", "plugin z: neither"]
    for text in ("", "[]", "half a {"):
        assert wordpress_changes([{**refused, "stdout": text}]) == {}


def test_what_is_worth_a_look_is_listed_by_site() -> None:
    looked = result("blog")
    looked["stdout"] = json.dumps({"changed": False, "worth_a_look": ["user x administers the site"]})
    assert wordpress_worth_a_look([looked, result("shop")]) == {"blog": ["user x administers the site"]}
