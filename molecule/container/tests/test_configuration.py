"""What a service loads while it runs: refused before it is placed, placed by renaming, loaded by state, predicted."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.support.runs import PROJECT, Runs, Sequence, words
from tests.support.stack import Container, Stack

PLACED, LOADED = "Configuration | Name what differed", "Reload | Load what is declared"
NAME = "toy-configured"
DIRECTORY = f"/srv/harbour/quayside/configuration/{NAME}"
# Not by the engine's own kill: it takes that for a wish to stop.
LOAD = "docker exec quayside-toy-configured sh -c 'kill -s HUP 1'"
BOTH = {(PLACED, NAME), (LOADED, NAME)}


@pytest.fixture(scope="module")
def as_declared(runs: Runs) -> None:
    """Undo what the tests of the actor have left: they converge to one container of other images."""
    runs.converge()
    assert runs.converge().changes == []


@pytest.fixture
def toy(stack: Stack) -> Container:
    """Return the toy that has a configuration."""
    return stack.container(NAME)


def word(toy: Container) -> str:
    """Ask the running process for what it has loaded."""
    return str(toy.run("probe", "http-body", "127.0.0.1:7000", "/word").stdout).strip()


def process(toy: Container) -> tuple[str, str, int]:
    """Return which container it is, and which process in it."""
    toy.forget()
    return toy.identifier, toy.state["StartedAt"], toy.main_pid


def extra(**variables: Any) -> str:
    """Write variables for ansible-playbook's command line, with this toy alone: the others would only take time."""
    return "--extra-vars=" + json.dumps({"toy_containers": {"configured": configured()}, **variables})


def configured() -> dict[str, Any]:
    """Return the toy as the scenario declares it."""
    text = (PROJECT / "molecule/container/group_vars/all.yml").read_text(encoding="utf-8")
    declared: dict[str, Any] = yaml.safe_load(text)["toy_containers"]["configured"]
    return declared


def predicted(runs: Runs, *arguments: str) -> set[tuple[str, str]]:
    """Return what a check run says that a run would report."""
    return runs.converge("--check", *arguments).changed_items


def test_what_was_loaded_behind_its_back_was_found(sequence: Sequence, toy: Container) -> None:
    """The drift loaded another word and put the file back: the process alone knows, and when the file was written."""
    assert {change for change in sequence.repaired.changed_items if change[1] == NAME} == {(LOADED, NAME)}
    assert word(toy) == "halyard"


# The web server loads another text under load in the scenario nginx.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("as_declared")
def test_another_text_is_loaded_by_the_same_process(runs: Runs, toy: Container) -> None:
    before = process(toy)
    other = extra(toy_word="bowline")
    assert predicted(runs, other) == BOTH
    assert word(toy) == "halyard"
    assert runs.converge(other).changed_items == BOTH
    assert (word(toy), process(toy)) == ("bowline", before)
    assert runs.converge(other).changes == []
    assert runs.converge(extra()).changed_items == BOTH
    assert (word(toy), process(toy)) == ("halyard", before)


@pytest.mark.destructive
@pytest.mark.usefixtures("as_declared")
def test_refused_before_it_is_placed(runs: Runs, stack: Stack, toy: Container) -> None:
    """In the service's own words; what lies there and what runs are as they were."""
    files = stack.host.check_output(f"cd {DIRECTORY} && stat --format '%n %i %Y' *")
    before = process(toy)
    refused = runs.play("converge.yml", extra(toy_word="MUTINY"))
    assert refused.returncode != 0
    assert 'toy: "MUTINY" is no word' in words(refused).replace("\\", "")
    assert not {task for task, _ in runs.all()[-1].changed_items}
    assert stack.host.check_output(f"cd {DIRECTORY} && stat --format '%n %i %Y' *") == files
    assert (word(toy), process(toy)) == ("halyard", before)
    assert stack.host.run("ls -A /srv/harbour/quayside/judging").stdout.strip() == ""
    assert runs.converge(extra()).changes == []


@pytest.mark.destructive
@pytest.mark.usefixtures("as_declared")
@pytest.mark.parametrize(
    "task",
    [pytest.param("Configuration | Put the stamps beside it", marks=pytest.mark.thorough), "Reload | Give the signal"],
)
def test_run_that_died_before_it_was_loaded_is_repaired(runs: Runs, stack: Stack, toy: Container, task: str) -> None:
    """By state: nobody remembers that something was placed."""
    before = process(toy)
    other = extra(toy_word="sheet bend")
    killed = runs.play("converge.yml", other, PRESSDOCK_DIE_BEFORE=task)
    assert killed.returncode == -9
    assert "sheet bend" in stack.host.file(f"{DIRECTORY}/words").content_string
    assert word(toy) == "halyard"
    assert predicted(runs, other) == {(LOADED, NAME)}
    assert runs.converge(other).changed_items == {(LOADED, NAME)}
    assert (word(toy), process(toy)) == ("sheet bend", before)
    runs.converge(extra())


# Certificates are loaded in the scenario nginx, secrets in redis and drift.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("as_declared")
@pytest.mark.parametrize(
    "variables",
    [
        {"toy_password": "another word of the harbour master"},
        {"toy_tide": "flood"},
    ],
)
def test_what_is_loaded_beside_it_counts(runs: Runs, toy: Container, variables: dict[str, str]) -> None:
    """A certificate's digest, a secret: the same container, for those that load them."""
    before = process(toy)
    other = extra(**variables)
    expected = {change for change in predicted(runs, other) if change[1] == NAME}
    assert expected == {(LOADED, NAME)}
    done = runs.converge(other)
    assert {change for change in done.changed_items if change[1] == NAME} == expected
    assert process(toy) == before
    assert runs.converge(other).changes == []
    runs.converge(extra())


DAMAGES: dict[str, tuple[str, set[tuple[str, str]]]] = {
    "edited": ("echo 'word = mutiny' > words", BOTH),
    "edited and loaded": (f"echo 'word = mutiny' > words; {LOAD}", BOTH),
    "readable by all": ("chmod 0644 words", {(PLACED, NAME)}),
    "file added": ("touch more", {(PLACED, NAME)}),
    "other stamp loaded": (f"echo stamp = 0 > stamp; {LOAD}", {(LOADED, NAME)}),
    "directory lost": ("cd ..; rm -r toy-configured", BOTH),
}


# The drift suite damages the configurations of a whole stack.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("as_declared")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_predicted_and_repaired(runs: Runs, stack: Stack, toy: Container, damage: str) -> None:
    command, reports = DAMAGES[damage]
    before = process(toy)
    stack.host.check_output(f"cd {DIRECTORY} && {{ {command}; }}")
    assert predicted(runs, extra()) == reports
    assert runs.converge(extra()).changed_items == reports
    assert word(toy) == "halyard"
    assert runs.converge(extra()).changes == []
    assert stack.host.file(f"{DIRECTORY}/words").mode == 0o400
    # A directory that was made again is mounted when the container starts.
    assert (process(toy)[0], process(toy) == before) == (before[0], damage != "directory lost")


# Redis joins and leaves networks in its own scenario; a site goes in the drift suite.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("as_declared")
def test_networks_come_and_go_without_a_restart(runs: Runs, toy: Container) -> None:
    """It listens everywhere. What it is to leave it leaves, and is on no network of somebody else's."""
    before = process(toy)
    other = extra(toy_containers={"configured": {**configured(), "networks": ["toy", "outbound", "further"]}})
    run = predicted(runs, other)
    assert ("Run | Start the containers", NAME) in run
    assert runs.converge(other).changed_items == run
    assert "quayside-further" in joined(toy)
    assert process(toy) == before
    assert runs.converge(other).changes == []
    assert predicted(runs, extra()) == {("Run | Start the containers", NAME)}
    assert runs.converge(extra()).changed_items == {("Run | Start the containers", NAME)}
    assert "quayside-further" not in joined(toy)
    assert process(toy) == before
    assert runs.converge(extra()).changes == []


def joined(toy: Container) -> set[str]:
    """Return the networks that the container is on."""
    toy.forget()
    return set(toy.inspect["NetworkSettings"]["Networks"])
