"""Everything that happens to a stack (cases.yml) is predicted by a check run, and repaired and reported by one run.

Nothing else is reported, every option of every container and every secret file is as it was, no container that need not
be is replaced or restarted, no run prints a secret, and a further run has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.cases import DATA, ROUNDS, Shell, root_shell
from tests.support.runs import Run, Runs, Snapshot
from tests.support.stack import Stack

UNCOMPARED = "Tell | Name what a run would end with"
CASES = [(name, case) for name, cases in ROUNDS.items() for case in cases]


@dataclass(frozen=True)
class Round:
    """What happened to the stack at once, and what the runs said about it."""

    predicted: Run
    repaired: Run
    output: str
    """Of the run that repaired."""
    again: Run
    before: dict[str, Snapshot]
    """Short name of a container to what it was before anything happened, then, and after it was repaired."""
    then: dict[str, Snapshot]
    after: dict[str, Snapshot]
    files_before: set[str]
    """The stack's files, a line for each, before anything happened and after it was repaired."""
    files_after: set[str]
    answers: dict[str, Any]
    """Case to what the running thing has answered then."""


@pytest.fixture(scope="module")
def shell(stack: Stack, installation_key: str) -> Shell:
    """Return a function that runs a case's commands as root on the host."""
    return root_shell(stack, installation_key)


@pytest.fixture(scope="module")
def rounds(runs: Runs, shell: Shell) -> Callable[[str], Round]:
    """Return a function that lets everything of a round happen, once, and returns what came of it."""
    done: dict[str, Round] = {}

    def containers() -> dict[str, Snapshot]:
        return {name.removeprefix("quayside-"): one for name, one in runs.engine_now().items()}

    def files() -> set[str]:
        return set(runs.files_now(DATA))

    def happen(name: str) -> Round:
        if name not in done:
            if not done:
                assert runs.converge().changes == [], "the stack was not as declared"
            before, files_before = containers(), files()
            for case in ROUNDS[name].values():
                result = shell(case["do"])
                assert result.rc == 0, (case["do"], result.stdout, result.stderr)
            then = containers()
            predicted = runs.converge("--check")
            played = runs.play()
            assert played.returncode == 0, played.stdout + played.stderr
            repaired = runs.all()[-1]
            answers = {case: shell(fields["then"]["ask"]) for case, fields in ROUNDS[name].items()}
            again = runs.converge()
            done[name] = Round(
                predicted, repaired, played.stdout, again, before, then, containers(), files_before, files(), answers
            )
        return done[name]

    return happen


def reported(case: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (task, item) of each change that a case has to be reported by."""
    written = (line.replace("DATA/", f"{DATA}/").partition(": ") for line in case["reports"])
    return {(task, item) for task, _, item in written}


@pytest.mark.parametrize("name", ROUNDS)
class TestRound:
    def test_is_reported_and_nothing_else(self, rounds: Callable[[str], Round], name: str) -> None:
        wanted = set().union(*(reported(case) for case in ROUNDS[name].values()))
        assert rounds(name).repaired.changed_items == wanted

    def test_is_predicted(self, rounds: Callable[[str], Round], name: str) -> None:
        """Task by task and item by item, neither less nor more."""
        happened = rounds(name)
        # What a check run cannot compare, for a run repairs it before, it says besides.
        told = {(task, item) for task, item in happened.predicted.changed_items if task == UNCOMPARED}
        assert happened.predicted.changed_items - told == happened.repaired.changed_items

    def test_leaves_nothing_to_do(self, rounds: Callable[[str], Round], name: str) -> None:
        assert rounds(name).again.changes == []

    def test_restores_every_container(self, rounds: Callable[[str], Round], name: str) -> None:
        """Every option that the engine knows is as it was, but a label that tells of something new."""
        happened = rounds(name)
        assert set(happened.after) == set(happened.before)
        renewed = {one: label for case in ROUNDS[name].values() for one, label in case.get("renews", {}).items()}
        for container, before in happened.before.items():
            was, now = before.comparable, happened.after[container].comparable
            if label := renewed.get(container):
                assert now["config"]["Labels"][label] != was["config"]["Labels"][label]
                now["config"] = {**now["config"], "Labels": {**now["config"]["Labels"], label: ""}}
                was["config"] = {**was["config"], "Labels": {**was["config"]["Labels"], label: ""}}
            assert now == was, container

    def test_restores_every_file(self, rounds: Callable[[str], Round], name: str) -> None:
        """Contents of secrets, owners, modes and kinds; nothing is left over."""
        happened = rounds(name)
        assert happened.files_after == happened.files_before

    def test_keeps_what_need_not_be_replaced(self, rounds: Callable[[str], Round], name: str) -> None:
        happened = rounds(name)
        may_differ = {one for case in ROUNDS[name].values() for one in case.get("replaces", [])}
        kept = set(happened.before) - may_differ
        assert {one for one in kept if happened.after[one].identifier != happened.before[one].identifier} == set()
        # Nor does one restart that nothing has happened to.
        alike = {
            one for one in kept & set(happened.then) if happened.then[one].comparable == happened.before[one].comparable
        }
        assert {one for one in alike if happened.after[one].started_at != happened.before[one].started_at} == set()


@pytest.mark.parametrize(("name", "case"), CASES, ids=[case for _, case in CASES])
def test_case(rounds: Callable[[str], Round], name: str, case: str) -> None:
    """The running thing itself says that it is as declared again; and the run has said what was not."""
    declared = ROUNDS[name][case]
    happened = rounds(name)
    assert reported(declared) <= happened.repaired.changed_items
    for words in declared.get("says", []):
        assert words in happened.output, happened.output
    answer = happened.answers[case]
    wanted = str(declared["then"]["answer"]).replace("DATA/", f"{DATA}/")
    assert answer.stdout.strip() == wanted, (answer.stdout, answer.stderr)


def test_runs_print_no_secret(rounds: Callable[[str], Round], runs: Runs, secrets: dict[str, str]) -> None:
    """Every run printed its diffs."""
    assert [name for name in ROUNDS if not rounds(name).output] == []
    output = runs.output()
    assert [name for name, value in secrets.items() if value in output] == []
    assert len(secrets) > len(rounds(next(iter(ROUNDS))).before), "control: there are some"


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 40
