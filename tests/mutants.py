#!/usr/bin/env python3
"""Show that the suite `drift` sees: take out comparisons of the project, and see the right cases go red.

    make mutants                           all of tests/mutants.yml
    make mutants ARGS="redis 'the role'"   those whose name holds one of these words
    make mutants ARGS=--groups             only say what would run together

One mutant at a time would take hours. Those whose cases are different ones run together, in a copy of the project that
has all of them; each round of cases that one of them is seen by happens as a whole. Exactly their cases have to go red:
one that stays green is blind to its mutant, and any other one that goes red says that a mutant does more than its list
tells, and may hide another. All groups run on one instance, which the project as it is brings back to its state after
each.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
SCENARIO = "drift"
CASES_FILE = Path("molecule", SCENARIO, "tests", "cases.yml")
CONTROL = ("containers", "container removed")
"""Round and case that no mutant touches: green whatever a mutant that runs alone does to its own round."""

Cases = Mapping[str, Mapping[str, Any]]
"""Round to its cases by name, as cases.yml has them."""


@dataclass(frozen=True)
class Mutant:
    """One comparison that is taken out, as tests/mutants.yml describes it."""

    name: str
    file: str
    find: str
    replace: str
    cases: tuple[str, ...]
    alone: bool = False

    def apply(self, project: Path) -> None:
        """Take the comparison out of a copy of the project; ValueError where its text does not occur exactly once."""
        path = project / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.find) != 1:
            raise ValueError(f"{self.name}: its text occurs {text.count(self.find)} times in {self.file}")
        path.write_text(text.replace(self.find, self.replace), encoding="utf-8")


@dataclass(frozen=True)
class Verdict:
    """What came of one mutant, or of the cases that nobody should have touched."""

    mutant: Mutant
    green: tuple[str, ...]
    """Its cases that did not go red."""

    @property
    def killed(self) -> bool:
        """Whether each of its cases went red."""
        return not self.green


def read_mutants(project: Path = PROJECT) -> list[Mutant]:
    """Read the list."""
    entries = yaml.safe_load((project / "tests/mutants.yml").read_text(encoding="utf-8"))
    return [Mutant(**{**entry, "cases": tuple(entry["cases"])}) for entry in entries]


def read_cases(project: Path = PROJECT) -> dict[str, dict[str, Any]]:
    """Read the suite's cases."""
    return dict(yaml.safe_load((project / CASES_FILE).read_text(encoding="utf-8")))


def grouped(mutants: Iterable[Mutant], cases: Cases) -> list[list[Mutant]]:
    """Put those together that are seen by different cases, as long as each round keeps one that none of them touches.

    :return: groups in which no case belongs to two mutants.
    """
    groups: list[list[Mutant]] = []
    for mutant in sorted(mutants, key=lambda one: one.alone):
        for group in groups:
            taken = {case for other in group for case in other.cases}
            together = taken | set(mutant.cases)
            if (
                not mutant.alone
                and not any(other.alone for other in group)
                and not taken & set(mutant.cases)
                and all(set(names) - together or set(names) <= set(mutant.cases) for names in cases.values())
            ):
                group.append(mutant)
                break
        else:
            groups.append([mutant])
    return groups


def reduced(group: Sequence[Mutant], cases: Cases) -> dict[str, dict[str, Any]]:
    """Return the cases that a group is run with: its rounds, or for one that is alone its own cases and the control."""
    wanted = {case for mutant in group for case in mutant.cases}
    if group[0].alone:
        wanted.add(CONTROL[1])
        chosen = {name: {case: do for case, do in each.items() if case in wanted} for name, each in cases.items()}
        return {name: each for name, each in chosen.items() if each}
    return {name: dict(each) for name, each in cases.items() if wanted & set(each)}


def judged(group: Sequence[Mutant], ran: Iterable[str], red: Iterable[str]) -> tuple[list[Verdict], list[str]]:
    """Say of each mutant of a group which of its cases stayed green, and which others went red.

    :param ran: the cases that the group was run with.
    :param red: those of them that failed.
    """
    failed = set(red)
    verdicts = [Verdict(mutant, tuple(case for case in mutant.cases if case not in failed)) for mutant in group]
    touched = {case for mutant in group for case in mutant.cases}
    return verdicts, [case for case in ran if case in failed and case not in touched]


def failed_cases(report: Path) -> tuple[list[str], list[str]]:
    """Read pytest's report: all cases, and those that failed."""
    found = [
        (element.get("name", "").partition("[")[2].removesuffix("]"), element)
        for element in ET.parse(report).iter("testcase")  # noqa: S314 -- written by our own pytest
    ]
    ran = [(name, element) for name, element in found if name]
    return [name for name, _ in ran], [
        name for name, element in ran if element.find("failure") is not None or element.find("error") is not None
    ]


def table(verdicts: Iterable[Verdict]) -> str:
    """Write the result as a table for people and for the documentation."""
    lines = ["| Comparison taken out | Cases | Result |", "|---|---|---|"]
    for verdict in verdicts:
        result = "killed" if verdict.killed else f"survived: {', '.join(verdict.green)}"
        lines.append(f"| {verdict.mutant.name} | {', '.join(verdict.mutant.cases)} | {result} |")
    return "\n".join(lines)


def say(text: str) -> None:
    """Print at once: a group takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Workshop:
    """Copies of the project, and the one instance that all of them work on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        for entry in folder.glob("*"):
            if entry != self.state:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self.state.mkdir(parents=True, exist_ok=True)
        self.unchanged = self.copy("unchanged")

    def copy(self, name: str) -> Path:
        """Copy the project's files, without what git ignores."""
        target = self.folder / name
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT if name == "unchanged" else self.unchanged,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        source = PROJECT if name == "unchanged" else self.unchanged
        for file in filter(None, listed.split("\0")):
            if (source / file).is_symlink() or (source / file).exists():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / file, target / file, follow_symlinks=False)
        # Molecule looks for its shared settings at the root of the checkout.
        subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)
        return target

    def molecule(self, project: Path, command: str, log: str, **environment: str) -> bool:
        """Run one of molecule's commands in a copy; tells whether it has succeeded."""
        with (self.folder / f"{log}.log").open("ab") as output:
            done = subprocess.run(
                ["molecule", command, "--scenario-name", SCENARIO],
                cwd=project,
                env={**os.environ, "MOLECULE_EPHEMERAL_DIRECTORY": str(self.state), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        return done.returncode == 0

    def restore(self) -> None:
        """Bring the instance to the state that the project as it is declares."""
        if not self.molecule(self.unchanged, "converge", "unchanged"):
            raise SystemExit(f"The project as it is does not converge: {self.folder}/unchanged.log")

    def run(self, number: int, group: Sequence[Mutant], cases: Cases) -> tuple[list[Verdict], list[str]]:
        """Run the cases of a group against the project without what the group takes out."""
        name = f"group-{number}"
        project = self.copy(name)
        for mutant in group:
            mutant.apply(project)
        (project / CASES_FILE).write_text(yaml.safe_dump(cases, sort_keys=False, allow_unicode=True), encoding="utf-8")
        for file in (project / CASES_FILE).parent.glob("test_*.py"):
            if file.name != "test_cases.py":
                file.unlink()
        # What is part of an image is built, so that the suite begins with a stack that is as declared.
        if not self.molecule(project, "converge", name):
            raise SystemExit(f"{', '.join(mutant.name for mutant in group)}: no converge: {self.folder}/{name}.log")
        report = self.folder / f"{name}.xml"
        # Else pytest takes the directory that holds all copies, and imports the tests of the project as it is.
        options = [f"--rootdir={project}", "-c", f"{project}/pyproject.toml", f"--junitxml={report}"]
        options += ["-k", "not TestRound and not enough"]
        self.molecule(project, "verify", name, PYTEST_ADDOPTS=shlex.join(options))
        ran, red = failed_cases(report)
        if set(ran) != {case for each in cases.values() for case in each}:
            raise SystemExit(f"Other cases ran than should have: {self.folder}/{name}.log")
        return judged(group, ran, red)


def main(arguments: Sequence[str]) -> int:
    """Run the mutants; the exit status is 1 where one survived or a case went red that none of them touches."""
    parser = argparse.ArgumentParser(description="Show that the suite drift sees what it is for.")
    parser.add_argument("words", nargs="*", help="only mutants whose name holds one of these")
    parser.add_argument("--keep", action="store_true", help="leave the instance for the next time")
    parser.add_argument("--groups", action="store_true", help="only say what would run together")
    options = parser.parse_args(arguments)
    cases = read_cases()
    chosen = [one for one in read_mutants() if not options.words or any(word in one.name for word in options.words)]
    groups = grouped(chosen, cases)
    for number, group in enumerate(groups, 1):
        say(f"group {number}: {', '.join(mutant.name for mutant in group)}")
    if options.groups or not groups:
        return 0 if groups else 2

    # An instance beside those of the scenarios.
    os.environ.setdefault("PRESSDOCK_INSTANCE_PREFIX", "pressdock-mutants")
    workshop = Workshop(PROJECT / ".cache/mutants")
    verdicts: list[Verdict] = []
    others: list[str] = []
    try:
        for number, group in enumerate(groups, 1):
            workshop.restore()
            start = time.monotonic()
            found, touched = workshop.run(number, group, reduced(group, cases))
            verdicts += found
            others += touched
            survived = [verdict.mutant.name for verdict in found if not verdict.killed]
            say(f"group {number}: {len(found) - len(survived)} killed, {time.monotonic() - start:.0f} s")
            for name in survived:
                say(f"  survived: {name}")
            for case in touched:
                say(f"  red, though nothing that it needs was taken out: {case}")
    finally:
        if not options.keep:
            workshop.molecule(workshop.unchanged, "destroy", "unchanged")
    say(table(verdicts))
    say(f"{sum(one.killed for one in verdicts)} of {len(verdicts)} killed; {len(others)} other cases red")
    return 0 if all(one.killed for one in verdicts) and not others else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
