"""A password of the cache gets a new value by playbooks/rotate.yml: the new one opens, the old one does not.

The scenario `drift` rotates everything of a whole stack, under load, and kills it at every step (thorough).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from filter_plugins.secrets import derive_secret
from tests.support.runs import PROJECT, Run, Runs, words
from tests.support.stack import Container, Stack

NAME = "redis/quay"
OLD, NEW = 4, 5
PARTS = ("ansible.cfg", "callback_plugins", "filter_plugins", "group_vars", "lookup_plugins", "module_utils", "roles")

Door = Callable[[int], bool]


@pytest.fixture(scope="module")
def playbook(runs: Runs) -> str:
    """Return the playbook that rotates, in a place where the stack's own playbook is that of the cache alone."""
    place = runs.directory / "project"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(PROJECT / "playbooks", place / "playbooks")
    shutil.copy(runs.scenario / "cache.yml", place / "site.yml")
    for part in PARTS:
        (place / part).symlink_to(PROJECT / part)
    return str(place / "playbooks/rotate.yml")


@pytest.fixture(scope="module")
def server(stack: Stack) -> Container:
    """Return the cache's container."""
    return stack.container("redis")


@pytest.fixture(scope="module")
def opens(stack: Stack, installation_key: str) -> Door:
    """Return a function that logs in to the cache with a version of the password."""

    def try_version(version: int) -> bool:
        line = f"AUTH quay {derive_secret(installation_key, NAME, version)}"
        answer = stack.host.check_output("echo %s | docker exec -i quayside-redis redis-cli", line)
        assert "OK" in answer or "WRONGPASS" in answer, answer
        return "OK" in answer

    return try_version


@dataclass(frozen=True)
class Rotated:
    """A rotation, and what was so before it."""

    before: dict[int, bool]
    """Whether each version of the password opened the door."""
    predicted: str
    """What a check run said."""
    untouched: bool
    """Whether the check run has left no record of a rotation, and the doors as they were."""
    output: str
    run: Run


@pytest.fixture(scope="module")
def file(runs: Runs) -> Path:
    """Return the record of rotations, on the controller."""
    return runs.directory / "rotation.json"


@pytest.fixture(scope="module")
def rotated(runs: Runs, playbook: str, opens: Door, file: Path) -> Rotated:
    """Rotate the password once, after a check run."""
    argument = "--extra-vars=" + json.dumps({"rotate_name": NAME})
    before = {version: opens(version) for version in (OLD, NEW)}
    outputs = []
    untouched = False
    for further in (["--check"], []):
        result = runs.play(playbook, argument, *further)
        assert result.returncode == 0, result.stdout + result.stderr
        outputs.append(words(result))
        if further:
            untouched = not file.exists() and before == {version: opens(version) for version in (OLD, NEW)}
    return Rotated(before, outputs[0], untouched, outputs[1], runs.all()[-1])


@pytest.mark.destructive
def test_new_value_opens_and_the_old_one_does_not(rotated: Rotated, opens: Door) -> None:
    assert rotated.before == {OLD: True, NEW: False}, "control"
    assert {version: opens(version) for version in (OLD, NEW)} == {OLD: False, NEW: True}


@pytest.mark.destructive
def test_each_step_is_said_and_converged_to(rotated: Rotated) -> None:
    """The server takes both values before any client uses the new one, and proves at last that it takes that alone."""
    steps = ["accepted as well", "in use", "the only one", "the old one is refused everywhere"]
    places = [rotated.output.index(f"{NAME}: version {OLD} -> {NEW}: {step}") for step in steps]
    assert places == sorted(places)
    tasks = [change["task"] for change in rotated.run.changes]
    assert tasks.count("Step | Say what it does") == len(steps)
    # With both values, and with the new one alone; to use another one is no change of this server's.
    assert tasks.count("Users | Name what differed") == 2, tasks


@pytest.mark.destructive
def test_check_run_says_what_it_would_do_and_does_nothing(rotated: Rotated) -> None:
    assert f"{NAME}: version {OLD} -> {NEW}" in rotated.predicted
    assert rotated.untouched


@pytest.mark.destructive
@pytest.mark.usefixtures("rotated")
def test_controller_keeps_the_record_and_later_runs_follow_it(runs: Runs, file: Path, opens: Door) -> None:
    """Where it is lost the declared version counts again."""
    assert json.loads(file.read_text()) == {NAME: {"version": NEW, "step": "done"}}
    assert file.stat().st_mode & 0o777 == 0o600
    assert runs.converge().changes == []
    file.unlink()
    assert runs.converge().changes
    assert (opens(OLD), opens(NEW)) == (True, False)


@pytest.mark.destructive
@pytest.mark.usefixtures("rotated")
def test_no_value_is_printed(runs: Runs, installation_key: str) -> None:
    output = runs.output()
    assert NAME in output, "control"
    for version in (OLD, NEW):
        assert derive_secret(installation_key, NAME, version) not in output
