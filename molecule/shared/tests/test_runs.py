"""What the runs of a scenario reported, compared with each other. The same for every scenario."""

from __future__ import annotations

import pytest

from tests.support.runs import Runs, Sequence

LEFT_OUT = "not in this scenario's sequence"


@pytest.fixture
def drifted(runs: Runs) -> Runs:
    """Return the runs of a scenario in which something drifts, by its sequence: its snapshots have to be there."""
    if "side_effect" not in runs.steps:
        pytest.skip(LEFT_OUT)
    return runs


def test_check_on_a_bare_machine_predicts_changes(sequence: Sequence) -> None:
    if sequence.bare is None:
        pytest.skip(LEFT_OUT)
    assert sequence.bare.changes


def test_idempotence_is_not_vacuous(sequence: Sequence) -> None:
    """The first converge changed something, the second one nothing."""
    assert sequence.first.changes
    assert not sequence.second.changes


def test_check_predicts_what_the_repair_changes(sequence: Sequence) -> None:
    """Task by task and item by item, neither less nor more."""
    if not sequence.drifts:
        pytest.skip(LEFT_OUT)
    assert sequence.repaired.changes, "the drift went unnoticed"
    assert sequence.predicted.changed_items == sequence.repaired.changed_items


def test_check_finds_nothing_at_the_end(sequence: Sequence) -> None:
    if sequence.left is None:
        pytest.skip(LEFT_OUT)
    assert not sequence.left.changes


def test_repair_restores_every_container(drifted: Runs) -> None:
    """Every option that the engine knows is as it was, of those that were there before the drift."""
    before, now = drifted.snapshot("before"), drifted.engine_now()
    assert set(before) == set(now)
    for name, container in before.items():
        assert now[name].comparable == container.comparable, name


def test_repair_restores_every_file(drifted: Runs) -> None:
    """Contents of secrets, owners, modes and kinds; nothing is left over."""
    assert set(drifted.files_now("/srv/harbour/quayside")) == set(drifted.files("before"))


def test_repair_leaves_alone_what_did_not_drift(drifted: Runs) -> None:
    """A container that was as declared keeps its id: nothing was restarted without need."""
    before, then, now = drifted.snapshot("before"), drifted.snapshot("drifted"), drifted.engine_now()
    # Recreated by hand in the very same way: no drift either.
    alike = {name for name in then if name in before and then[name].comparable == before[name].comparable}
    replaced = {name for name in alike if now[name].identifier != then[name].identifier}
    assert not replaced
    restarted = {name for name in alike if now[name].started_at != then[name].started_at}
    assert not restarted


def test_runs_print_no_secret(runs: Runs, secrets: dict[str, str]) -> None:
    """Every run printed its diffs."""
    output = runs.output()
    assert "TASK" in output
    assert secrets
    assert [name for name, value in secrets.items() if value in output] == []
