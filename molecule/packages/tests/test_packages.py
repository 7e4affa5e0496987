"""Packages of the distribution: those that are missing are installed, nothing besides, and a check run knows which."""

from __future__ import annotations

import json

import pytest

from tests.support.runs import Runs, Sequence, words
from tests.support.stack import Stack

INSTALL = ("Install what is missing", "")


def installed(stack: Stack, name: str) -> bool:
    """Ask dpkg for a package."""
    return str(stack.host.run("dpkg-query --show --showformat '${db:Status-Status}' %s", name).stdout) == "installed"


def test_a_check_run_predicts_it_on_a_fresh_machine(sequence: Sequence) -> None:
    assert sequence.bare is not None
    assert sequence.bare.changed_items == sequence.first.changed_items == {INSTALL}
    assert sequence.second.changes == []


def test_they_are_there(stack: Stack) -> None:
    assert stack.host.run("tree --version").rc == 0
    assert installed(stack, "at")


def test_what_they_recommend_is_not(stack: Stack) -> None:
    recommended = stack.host.check_output("apt-cache show --no-all-versions at | sed -n 's/^Recommends: //p'")
    assert recommended, "control"
    assert not [name for name in recommended.replace("|", ",").split(",") if installed(stack, name.strip())]


@pytest.mark.destructive
def test_one_that_was_removed_returns(stack: Stack, runs: Runs) -> None:
    stack.host.check_output("DEBIAN_FRONTEND=noninteractive apt-get -qq remove tree")
    assert not installed(stack, "tree")
    assert runs.converge().changed_items == {INSTALL}
    assert installed(stack, "tree")


@pytest.mark.destructive
def test_one_that_there_is_not_is_named(stack: Stack, runs: Runs) -> None:
    """And nothing is installed."""
    failed = runs.play("converge.yml", "--extra-vars=" + json.dumps({"wanted": ["sl", "no-such-package"]}))
    assert failed.returncode != 0
    assert "no-such-package" in words(failed)
    assert not installed(stack, "sl")
