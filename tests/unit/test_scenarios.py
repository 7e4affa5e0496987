"""The molecule scenarios: one for each role, and what the tests make of the runs in their sequences."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import PROJECT, STEPS, Run, declared_steps, names_of_runs, sequence_of

ROLES = sorted(path.name for path in (PROJECT / "roles").iterdir() if path.is_dir())
SCENARIOS = sorted(path.parent for path in PROJECT.glob("molecule/*/molecule.yml"))
SHARED_TESTS = "../../shared/tests"

DRIFTING = ["converge", "idempotence", "side_effect", "check", "converge"]
SEQUENCES = {
    "all runs": (["check", *DRIFTING, "check"], ["bare", "first", "second", "predicted", "repaired", "left"]),
    "drift": (DRIFTING, ["first", "second", "predicted", "repaired"]),
    "check runs": (["check", "converge", "idempotence", "check"], ["bare", "first", "second", "left"]),
    "no more than needed": (["converge", "idempotence"], ["first", "second"]),
}
each_sequence = pytest.mark.parametrize(("steps", "names"), SEQUENCES.values(), ids=SEQUENCES)
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_scenario_of_its_name(role: str) -> None:
    """There is no exception: a role that others use has one where it is used alone."""
    scenario = PROJECT / "molecule" / role
    assert scenario in SCENARIOS
    assert (scenario / "converge.yml").is_file()
    assert list((scenario / "tests").glob("test_*.py"))


def run(step: str, number: int = 0) -> Run:
    """Stand in for the run of a step."""
    return Run(playbook="converge.yml", check=STEPS[step], changes=[{"number": number}], failures=[])


@each_sequence
def test_runs_of_a_sequence_are_named(steps: list[str], names: list[str]) -> None:
    """Later runs, of the tests, belong to none."""
    made = [run(step, number) for number, step in enumerate(step for step in steps if step in STEPS)]
    sequence = sequence_of(["destroy", *steps, "verify"], [*made, run("converge", 99)])
    assert sequence
    assert {name: one.changes[0]["number"] for name, one in sequence.runs.items()} == {
        name: number for number, name in enumerate(names)
    }
    assert sequence.drifts is ("side_effect" in steps)


@each_sequence
def test_other_runs_are_not_those_of_the_sequence(steps: list[str], names: list[str]) -> None:
    assert names
    made = [run(step) for step in steps if step in STEPS]
    assert sequence_of(steps, made[:-1]) is None
    assert sequence_of(steps, [run("check" if made[0].check is False else "converge"), *made[1:]]) is None


@each_scenario
def test_drift_is_part_of_the_sequence(scenario: Path) -> None:
    """A side_effect.yml that no sequence runs would prove nothing, nor would one that nobody repairs."""
    steps = declared_steps(scenario)
    assert (scenario / "side_effect.yml").exists() == ("side_effect" in steps)
    names = names_of_runs(steps)
    assert ("side_effect" in steps) == ({"predicted", "repaired"} <= set(names))
    assert len(names) == len(set(names)), "two runs of one name"


@each_scenario
def test_where_runs_are_compared_there_are_two(scenario: Path) -> None:
    names = names_of_runs(declared_steps(scenario))
    if SHARED_TESTS in (scenario / "molecule.yml").read_text(encoding="utf-8"):
        assert names[:3].count("first") == names[:3].count("second") == 1
