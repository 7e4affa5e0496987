"""What molecule's runs of a scenario reported, and snapshots of the engine between them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]


def without_colours(output: str) -> str:
    """Return what was printed without a terminal's control sequences: molecule's runs are coloured."""
    return re.sub(r"\x1b\[[0-9;]*m", "", output)


def words(result: subprocess.CompletedProcess[str]) -> str:
    """Return all that a run printed with single spaces between its words: Ansible breaks long lines."""
    return " ".join(without_colours(result.stdout + result.stderr).split())


@dataclass(frozen=True)
class Run:
    """One run of a playbook, as molecule/shared/callback_plugins/molecule_record.py wrote it."""

    playbook: str
    check: bool
    changes: list[dict[str, Any]]
    """Each has `task`, `item` (the loop's label or empty), `options` (what a diff named) and `lines` (of a message)."""
    failures: list[str]

    @property
    def changed_items(self) -> set[tuple[str, str]]:
        """Return (task, item) of each change."""
        return {(change["task"], change["item"]) for change in self.changes}


@dataclass(frozen=True)
class Sequence:
    """The runs of converge.yml in a scenario's test sequence."""

    runs: Mapping[str, Run]
    """Those that are in it, by their names here."""

    @property
    def bare(self) -> Run | None:
        """A check run on a bare machine, in the scenarios whose sequence begins with one."""
        return self.runs.get("bare")

    @property
    def first(self) -> Run:
        """The first converge."""
        return self.runs["first"]

    @property
    def second(self) -> Run:
        """The one after it."""
        return self.runs["second"]

    @property
    def drifts(self) -> bool:
        """Whether something drifts in the sequence (side_effect.yml) and is repaired."""
        return "repaired" in self.runs

    @property
    def predicted(self) -> Run:
        """A check run after side_effect.yml has done what it does."""
        return self.runs["predicted"]

    @property
    def repaired(self) -> Run:
        """The converge after that."""
        return self.runs["repaired"]

    @property
    def left(self) -> Run | None:
        """A check run at the end, when nothing is left to do, in the same scenarios as the one on a bare machine."""
        return self.runs.get("left")


STEPS = {"check": True, "converge": False, "idempotence": False}
"""The steps of a test sequence that run converge.yml, and whether that is a check run."""


def declared_steps(scenario: Path) -> list[str]:
    """Return the steps of a scenario's `molecule test`: its own, or those that all scenarios share."""
    for file in (scenario / "molecule.yml", PROJECT / ".config/molecule/config.yml"):
        settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        steps = settings.get("scenario", {}).get("test_sequence")
        if steps:
            return list(steps)
    raise AssertionError(f"{scenario.name} has no test sequence")


def names_of_runs(steps: Iterable[str]) -> list[str]:
    """Name the runs of converge.yml in a test sequence, in order, as `Sequence` does."""
    names: list[str] = []
    drifted = False
    for step in steps:
        drifted = drifted or step == "side_effect"
        if step == "converge":
            names.append("repaired" if drifted else "first")
        elif step == "idempotence":
            names.append("second")
        elif step == "check":
            repairing = drifted and "repaired" not in names
            names.append("predicted" if repairing else "left" if "first" in names else "bare")
    return names


def sequence_of(steps: list[str], runs: list[Run]) -> Sequence | None:
    """Take the first runs of converge.yml for those of a test sequence; None where those that were made are others."""
    made = [step for step in steps if step in STEPS]
    found = runs[: len(made)]
    if [run.check for run in found] != [STEPS[step] for step in made]:
        return None
    return Sequence(dict(zip(names_of_runs(steps), found, strict=True)))


@dataclass(frozen=True)
class Snapshot:
    """One container as `docker inspect` described it."""

    inspected: Mapping[str, Any]

    @property
    def identifier(self) -> str:
        """The engine's id."""
        return str(self.inspected["Id"])

    @property
    def started_at(self) -> str:
        """When it was started, as the engine writes it."""
        return str(self.inspected["State"]["StartedAt"])

    @property
    def comparable(self) -> dict[str, Any]:
        """Everything that is configured, without what is different in each container (ids, addresses, times)."""
        networks = {
            name: sorted(alias for alias in settings["Aliases"] or [] if not self.identifier.startswith(alias))
            for name, settings in self.inspected["NetworkSettings"]["Networks"].items()
        }
        return {
            "config": self.inspected["Config"],
            "host": self.inspected["HostConfig"],
            "image": self.inspected["Image"],
            "networks": networks,
            "mounts": sorted(json.dumps(mount, sort_keys=True) for mount in self.inspected["Mounts"]),
            "status": self.inspected["State"]["Status"],
        }


def snapshots(text: str) -> dict[str, Snapshot]:
    """Read the output of `docker inspect`; container name to its snapshot."""
    return {entry["Name"].removeprefix("/"): Snapshot(entry) for entry in json.loads(text or "[]")}


class Runs:
    """The runs of the scenario whose environment molecule has set."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.directory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
        self.scenario = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])

    def all(self) -> list[Run]:
        """Return all runs since the instance was created, oldest first."""
        lines = (self.directory / "runs.jsonl").read_text().splitlines()
        runs = [Run(**json.loads(line)) for line in lines]
        created = max((i for i, run in enumerate(runs) if run.playbook == "create.yml"), default=-1)
        return runs[created + 1 :]

    def sequence(self) -> Sequence | None:
        """Return the runs of the test sequence; None where those that were made are others."""
        return sequence_of(self.steps, [run for run in self.all() if run.playbook == "converge.yml"])

    @property
    def steps(self) -> list[str]:
        """The steps of the scenario's test sequence."""
        return declared_steps(self.scenario)

    def output(self) -> str:
        """Return everything that Ansible printed in these runs, diffs included."""
        return (self.directory / "ansible.log").read_text()

    def snapshot(self, name: str) -> dict[str, Snapshot]:
        """Return the containers as molecule/shared/tasks/snapshot.yml saw them."""
        return snapshots((self.directory / f"{name}.json").read_text())

    def files(self, name: str) -> list[str]:
        """Return one line for each file of the stack (kind, mode, owner, path, digest) as a snapshot saw it."""
        return (self.directory / f"{name}.files").read_text().splitlines()

    def files_now(self, data_directory: str) -> list[str]:
        """Return one line for each file of the stack as it is now."""
        return list(self._host.check_output("snapshot-files %s", data_directory).splitlines())

    def engine_now(self) -> dict[str, Snapshot]:
        """Return the containers as they are now."""
        return snapshots(
            self._host.check_output("docker ps --all --quiet --no-trunc | xargs --no-run-if-empty docker inspect")
        )

    def command(self, playbook: str, *arguments: str) -> list[str]:
        """Return the command that runs a playbook of the scenario, or another one by its whole path."""
        variables = self.scenario / "vars/stack.yml"
        return [
            "ansible-playbook",
            f"--inventory={PROJECT}/molecule/shared/inventory",
            *([f"--extra-vars=@{variables}"] if variables.exists() else []),
            *arguments,
            str(self.scenario / playbook),
        ]

    def play(
        self, playbook: str = "converge.yml", *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the scenario as molecule does, in a process group of its own.

        :param arguments: further arguments of ansible-playbook.
        :param environment: further environment variables.
        """
        return subprocess.run(
            self.command(playbook, *arguments),
            env={**os.environ, **environment},
            cwd=self.scenario,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start such a run, whose output nobody reads."""
        return subprocess.Popen(
            self.command(playbook, *arguments),
            cwd=self.scenario,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def converge(self, *arguments: str, **environment: str) -> Run:
        """Run the scenario's converge.yml, which must succeed, and return what it reported."""
        result = self.play("converge.yml", *arguments, **environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return self.all()[-1]
