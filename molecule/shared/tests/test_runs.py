"""What the runs of a scenario reported, compared with each other. The same for every scenario."""

from __future__ import annotations

import pytest

from tests.support.runs import Runs, Sequence


def test_check_on_a_bare_machine_predicts_changes(sequence: Sequence) -> None:
    if sequence.bare is None:
        pytest.skip("not in this scenario's sequence")
    assert sequence.bare.changes


def test_idempotence_is_not_vacuous(sequence: Sequence) -> None:
    """The first converge changed something, the second one nothing."""
    assert sequence.first.changes
    assert not sequence.second.changes


def test_check_predicts_what_the_repair_changes(sequence: Sequence) -> None:
    """Task by task and item by item, neither less nor more."""
    assert sequence.repaired.changes, "the drift went unnoticed"
    assert sequence.predicted.changed_items == sequence.repaired.changed_items


def test_check_finds_nothing_after_the_repair(sequence: Sequence) -> None:
    if sequence.left is None:
        pytest.skip("not in this scenario's sequence")
    assert not sequence.left.changes


def test_repair_restores_every_container(runs: Runs) -> None:
    """Every option that the engine knows is as it was, of those that were there before the drift."""
    before, now = runs.snapshot("before"), runs.engine_now()
    assert set(before) == set(now)
    for name, container in before.items():
        assert now[name].comparable == container.comparable, name


def test_repair_restores_every_file(runs: Runs) -> None:
    """Contents of secrets, owners, modes and kinds; nothing is left over."""
    assert set(runs.files_now("/srv/harbour/quayside")) == set(runs.files("before"))


def test_repair_leaves_alone_what_did_not_drift(runs: Runs) -> None:
    """A container that was as declared keeps its id: nothing was restarted without need."""
    before, drifted, now = runs.snapshot("before"), runs.snapshot("drifted"), runs.engine_now()
    # Recreated by hand in the very same way: no drift either.
    alike = {name for name in drifted if name in before and drifted[name].comparable == before[name].comparable}
    replaced = {name for name in alike if now[name].identifier != drifted[name].identifier}
    assert not replaced
    restarted = {name for name in alike if now[name].started_at != drifted[name].started_at}
    assert not restarted


def test_runs_print_no_secret(runs: Runs, secrets: dict[str, str]) -> None:
    """Every run printed its diffs."""
    output = runs.output()
    assert "TASK" in output
    assert secrets
    assert [name for name, value in secrets.items() if value in output] == []
