"""The list of mutants fits the project, and its runner puts together and judges what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import mutants
from tests.mutants import Mutant

LISTED = mutants.read_mutants()
ROUNDS: dict[str, dict[str, Any]] = {
    "first": {"container removed": {}, "a": {}, "b": {}},
    "second": {"c": {}, "d": {}, "e": {}},
}


def mutant(name: str, *cases: str, alone: bool = False) -> Mutant:
    return Mutant(name, "file", "find", "", cases, alone)


@pytest.mark.parametrize("listed", LISTED, ids=lambda one: one.name)
class TestList:
    def test_text_occurs_once_and_changes(self, listed: Mutant) -> None:
        assert (mutants.PROJECT / listed.file).read_text(encoding="utf-8").count(listed.find) == 1
        assert listed.find != listed.replace

    def test_cases_exist_and_spare_the_control(self, listed: Mutant) -> None:
        known = {case for cases in mutants.read_cases().values() for case in cases}
        assert listed.cases
        assert set(listed.cases) <= known
        assert mutants.CONTROL[1] not in listed.cases


def test_there_are_enough_and_their_names_are_unique() -> None:
    assert len(LISTED) >= 30
    assert len({one.name for one in LISTED}) == len(LISTED)


def test_the_control_is_a_case() -> None:
    name, case = mutants.CONTROL
    assert case in mutants.read_cases()[name]


def test_those_seen_by_one_case_are_apart() -> None:
    one, two, three = mutant("one", "a"), mutant("two", "a"), mutant("three", "c")
    assert mutants.grouped([one, two, three], ROUNDS) == [[one, three], [two]]


def test_what_is_alone_is_alone() -> None:
    one, two, three = mutant("one", "a"), mutant("two", "c", alone=True), mutant("three", "d")
    assert mutants.grouped([one, two, three], ROUNDS) == [[one, three], [two]]


def test_each_round_keeps_a_case_that_nothing_touches() -> None:
    one, two = mutant("one", "c", "d"), mutant("two", "e")
    assert mutants.grouped([one, two], ROUNDS) == [[one], [two]]


def test_a_round_happens_as_a_whole_unless_the_mutant_is_alone() -> None:
    assert mutants.reduced([mutant("one", "c")], ROUNDS) == {"second": ROUNDS["second"]}
    assert mutants.reduced([mutant("one", "c", alone=True)], ROUNDS) == {
        "first": {"container removed": {}},
        "second": {"c": {}},
    }


def test_verdicts() -> None:
    group = [mutant("one", "a", "b"), mutant("two", "c")]
    verdicts, others = mutants.judged(group, ["a", "b", "c", "d", "e"], ["a", "c", "e"])
    assert [(verdict.killed, verdict.green) for verdict in verdicts] == [(False, ("b",)), (True, ())]
    assert others == ["e"]
    assert "| one | a, b | survived: b |" in mutants.table(verdicts)


def test_report_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite><testcase name="test_case[a]"/><testcase name="test_case[b]"><failure/></testcase>'
        '<testcase name="test_case[c]"><error/></testcase><testcase name="other"/></testsuite></testsuites>'
    )
    assert mutants.failed_cases(report) == (["a", "b", "c"], ["b", "c"])


def test_a_mutant_is_applied_where_its_text_occurs_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("find me")
    mutant("one", "a").apply(tmp_path)
    assert file.read_text() == " me"
    with pytest.raises(ValueError, match="occurs 0 times"):
        mutant("one", "a").apply(tmp_path)
