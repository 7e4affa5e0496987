"""What holds up nothing else: it is noted once, the run goes on, and ends with it, or names it in a check run."""

from __future__ import annotations

import json

import pytest

from tests.support.runs import Runs, words

LATER = {"part": "site market", "what": "no room", "serves": "nothing of it.", "advice": "make room."}
GOES_ON = "1 noted, and the run goes on"
pytestmark = pytest.mark.destructive


def play(runs: Runs, *arguments: str, **variables: object) -> tuple[int, str]:
    """Run converge.yml; return its exit status and what it printed."""
    result = runs.play("converge.yml", *arguments, "--extra-vars=" + json.dumps(variables))
    return result.returncode, words(result)


def test_a_play_that_tells_them_ends_with_all(runs: Runs) -> None:
    status, printed = play(runs, telling=True)
    assert GOES_ON in printed, "noted twice, it is one problem; and it held nothing up"
    assert status != 0
    for text in (
        "1 problem.",
        "site harbour: plugin anchor: refused",
        "Still serves: the site as it was.",
        "What to do: put the plugin right.",
    ):
        assert text in printed
    status, printed = play(runs, telling=True, noted=[])
    assert (status, "0 noted" in printed) == (0, True), "control: without problems it ends well"


def test_a_play_that_does_not_tell_them_ends_at_once(runs: Runs) -> None:
    status, printed = play(runs, problems_deferred=False, noted=[LATER])
    assert status != 0
    assert "site market: no room" in printed
    assert "the run goes on" not in printed


def test_a_check_run_names_them_as_differences(runs: Runs) -> None:
    status, printed = play(runs, "--check", telling=True, noted=[LATER])
    assert (status, "the run goes on" in printed) == (0, True)
    assert "changed=1" in printed
    _, printed = play(runs, "--check", telling=True, noted=[])
    assert "changed=0" in printed, "control"


def test_a_problem_that_says_nothing_is_refused(runs: Runs) -> None:
    status, printed = play(runs, noted=[{**LATER, "advice": ""}])
    assert status != 0
    assert "lacks advice" in printed
