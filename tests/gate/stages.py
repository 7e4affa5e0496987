#!/usr/bin/env python3
"""Name the molecule scenarios of a gate, one a line, those first that took longest when they were last recorded.

python tests/gate/stages.py [quick|test|all]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
TIMES_FILE = Path("tests/gate/times.json")
"""Written by `make times`."""
GATES = ("quick", "test", "all")
GOLDEN = "golden"
"""Not a scenario: what all of them start from (molecule/shared/golden.yml)."""


def scenarios(project: Path = PROJECT) -> dict[str, str]:
    """Return each scenario and the gate that has it: quick, test, or all where no other has."""
    found = sorted(file.parent.name for file in project.glob("molecule/*/molecule.yml"))
    elsewhere = yaml.safe_load((project / "tests/gate/stages.yml").read_text(encoding="utf-8"))
    gates = {name: gate for gate, names in elsewhere.items() for name in names}
    if unknown := sorted(set(gates) - set(found)) + sorted(set(elsewhere) - set(GATES)):
        raise ValueError(f"tests/gate/stages.yml names what there is not: {', '.join(unknown)}")
    return {name: gates.get(name, "test") for name in found}


def seconds(project: Path = PROJECT) -> dict[str, float]:
    """Return how long each stage took when the times were last recorded."""
    recorded = json.loads((project / TIMES_FILE).read_text(encoding="utf-8"))
    return {name: float(stage["seconds"]) for name, stage in recorded["stages"].items()}


def ordered(gate: str, project: Path = PROJECT) -> list[str]:
    """Return the scenarios of a gate, the longest first; before them those whose time nobody knows.

    :param gate: one of GATES.
    """
    known = seconds(project)
    of_gate = [name for name, its in scenarios(project).items() if gate == its or (gate == "all" and its == "test")]
    return sorted(of_gate, key=lambda name: (-known.get(f"molecule-{name}", float("inf")), name))


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "test"
    if chosen not in GATES:
        sys.exit(f"unknown gate '{chosen}'; there are: {', '.join(GATES)}")
    sys.stdout.write("\n".join([*ordered(chosen), ""]))
