#!/usr/bin/env python3
"""Say where the time of the gate goes, and what is tested where.

    tests/gate/times.py --keep    what the last `make test` measured becomes tests/gate/times.json, and the tables
    tests/gate/times.py           write the tables of docs/develop/testing.md anew from it
    tests/gate/times.py --check   fail where they are not what it would write

Stages leave lines of JSON in .cache/times (scripts/stage, tests/support/times.py). One without a run of its own since
keeps what is recorded of it, so that a part of the gate can be measured alone.
"""

from __future__ import annotations

import argparse
import ast
import datetime as dt
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.gate.stages import GOLDEN, PROJECT, TIMES_FILE, scenarios

MEASURED = Path(".cache/times")
PAGE = Path("docs/develop/testing.md")
Line = Mapping[str, Any]

MADE = {"create.yml", "prepare.yml", "destroy.yml"}
"""Playbooks that make a scenario's machine and take it away."""
PHASES = {
    "machine": "make and remove the machine",
    "converge": "first run",
    "runs": "further runs",
    "tests": "tests",
    "builds": "builds",
    "health": "health",
    "faults": "faults",
}
"""Column of the table of times to what is written above it; the last three are parts of the others."""


def summary(lines: Iterable[Line]) -> dict[str, Any] | None:
    """Add up what one stage has left; nothing where it was not seen to pass.

    :return: seconds: `seconds` in all, processor time of the stage itself (`controller`), of the scenario's instance
        (`instance`) and of the whole machine meanwhile (`machine_busy`), the columns of PHASES, and `files`: each file
        of tests with the number of its tests and their seconds.
    """
    found = list(lines)
    stage = next((line for line in found if line["kind"] == "stage" and line["outcome"] == "passed"), None)
    if stage is None:
        return None
    runs = [line for line in found if line["kind"] == "run"]
    # What a test or another run has started is a part of that.
    others = [line for line in found if line is not stage]
    outermost = [line for line in others if not any(within(line, other) for other in others)]
    outside = [line for line in outermost if line["kind"] == "run"]
    sessions = [line for line in outermost if line["kind"] == "tests"]
    made = [run for run in outside if run["playbook"] in MADE]
    others = [run for run in outside if run["playbook"] not in MADE]
    first = next((run for run in others if not run["check"]), None)
    phases = {
        "machine": length(made),
        "converge": length([first] if first else []),
        "runs": length(run for run in others if run is not first),
        "tests": length(sessions),
        "builds": sum(run["builds"] for run in runs),
        "health": sum(run["health"] for run in runs),
        "faults": sum(session["faults"] for session in sessions),
    }
    files: dict[str, list[float]] = {}
    for session in sessions:
        for file, (count, seconds) in session["files"].items():
            before = files.get(file, [0, 0.0])
            files[file] = [before[0] + count, round(before[1] + seconds, 1)]
    return {
        "seconds": stage["end"] - stage["begin"],
        "controller": round(stage["controller"]),
        "instance": round(sum(line["instance"] for line in [*outside, *sessions])),
        "machine_busy": round(stage["machine"]),
        "phases": {name: round(seconds) for name, seconds in phases.items()},
        "files": files,
    }


def within(line: Line, other: Line) -> bool:
    """Say whether something happened during something else."""
    return line is not other and other["begin"] <= line["begin"] and line["end"] <= other["end"]


def length(lines: Iterable[Line]) -> float:
    """Return the seconds of all lines together."""
    return float(sum(line["end"] - line["begin"] for line in lines))


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the summary of each stage that has passed, by its name."""
    found = {}
    for file in sorted(folder.glob("*.jsonl")):
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        if result := summary(lines):
            found[file.stem] = result
    return found


def keep(project: Path) -> None:
    """Write what was measured into the tree. Stages that there are no more leave it."""
    file = project / TIMES_FILE
    stages = json.loads(file.read_text(encoding="utf-8"))["stages"] if file.exists() else {}
    stages |= measured(project / MEASURED)
    known = {f"molecule-{name}" for name in [*scenarios(project), GOLDEN]}
    stages = {name: stages[name] for name in sorted(stages) if name in known or not name.startswith("molecule-")}
    document = {"recorded": dt.datetime.now(dt.UTC).date().isoformat(), "processors": os.cpu_count(), "stages": stages}
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def times_table(stages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table that says where the time goes, the longest stage first."""
    head = ["stage", "s", "controller", "instance", *PHASES.values()]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, stage in sorted(stages.items(), key=lambda item: (-item[1]["seconds"], item[0])):
        figures = [stage["seconds"], stage["controller"], stage["instance"], *(stage["phases"][key] for key in PHASES)]
        rows.append([name, *(f"{figure:,}" if figure else "" for figure in figures)])
    totals = [sum(stage[key] for stage in stages.values()) for key in ("seconds", "controller", "instance")]
    totals += [sum(stage["phases"][key] for stage in stages.values()) for key in PHASES]
    rows.append(["all", *(f"{total:,}" for total in totals)])
    return [f"| {' | '.join(row)} |" for row in rows]


def gate_of(stage: str, project: Path) -> str:
    """Return which command has a stage."""
    gate = scenarios(project).get(stage.removeprefix("molecule-"), "test")
    if stage.startswith("quickstart"):
        return "`.ci/run`"
    if stage.startswith("lint") or stage in ("unit", "templates"):
        return "`make test`, `test-quick`"
    return {"test": "`make test`", "quick": "`make test-quick`", "all": "`make test-all`"}[gate]


def what(file: Path) -> str:
    """Return the first sentence of a test file's docstring."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", first)[0].replace("|", "\\|")


def tests_table(stages: Mapping[str, Mapping[str, Any]], project: Path) -> list[str]:
    """Return the lines of the table that says which stage asks what."""
    rows = [["what is asked", "stage", "in", "tests", "s"], ["---", "---", "---", "---:", "---:"]]
    for name, stage in sorted(stages.items()):
        for path, (count, seconds) in sorted(stage["files"].items()):
            file = project / path
            if not file.exists():
                continue
            row = [f"{what(file)} ([{file.name}](../../{path}))", name, gate_of(name, project)]
            rows.append([*row, f"{count:.0f}", f"{seconds:.0f}"])
    return [f"| {' | '.join(row)} |" for row in rows]


def page(project: Path) -> str:
    """Return docs/develop/testing.md with its tables made anew."""
    document = json.loads((project / TIMES_FILE).read_text(encoding="utf-8"))
    text = (project / PAGE).read_text(encoding="utf-8")
    tables = {
        "times": times_table(document["stages"]),
        "tests": tests_table(document["stages"], project),
    }
    for name, lines in tables.items():
        begin, end = f"<!-- {name}: made by tests/gate/times.py -->", f"<!-- end of {name} -->"
        said = f"Recorded on {document['recorded']} on {document['processors']} processors."
        places = re.findall(rf"(?s){re.escape(begin)}.*?{re.escape(end)}", text)
        if len(places) != 1:
            raise ValueError(f"{PAGE} has {len(places)} places for the table '{name}'")
        text = text.replace(places[0], "\n".join([begin, "", said, "", *lines, "", end]))
    return text


def main() -> int:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="record what .cache/times holds first")
    parser.add_argument("--check", action="store_true", help="only compare the page with what it should be")
    arguments = parser.parse_args()
    if arguments.keep:
        keep(PROJECT)
    wanted = page(PROJECT)
    if arguments.check:
        if wanted != (PROJECT / PAGE).read_text(encoding="utf-8"):
            sys.stderr.write(f"{PAGE}: its tables are not those of {TIMES_FILE}: run `make times`\n")
            return 1
        return 0
    (PROJECT / PAGE).write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
