"""A run that is killed, wherever: the next one converges, the one after it has nothing to do, and the sites go on.

Between two tasks nothing happens, and tasks that only work on the controller change no target: so killing a run before
each task that follows one which ran on the target is killing it at every boundary. By itself a run of these tests takes
every fifteenth of them, from a random one on; with PRESSDOCK_TEST_THOROUGH all are taken. PRESSDOCK_INTERRUPTED_STRIDE
takes another step, PRESSDOCK_INTERRUPTED_SEED repeats a run's choice: interrupted.log in molecule's directory has both.
All take hours: with a stride of six, PRESSDOCK_INTERRUPTED_PART=1 to 6 are together all of them, once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.support.cases import DATA, ROUNDS, answers_as_declared, root_shell
from tests.support.interruption import Boundary, Visitor, distinct, kill_tree, lock_holder, read_boundaries
from tests.support.runs import Runs
from tests.support.stack import Stack

THOROUGH = bool(os.environ.get("PRESSDOCK_TEST_THOROUGH"))
STRIDE = int(os.environ.get("PRESSDOCK_INTERRUPTED_STRIDE") or (1 if THOROUGH else 15))
MOMENTS = int(os.environ.get("PRESSDOCK_INTERRUPTED_MOMENTS") or (20 if THOROUGH else 3))
PART = int(os.environ.get("PRESSDOCK_INTERRUPTED_PART") or 0)
SEED = int(os.environ.get("PRESSDOCK_INTERRUPTED_SEED") or random.SystemRandom().randrange(10**6))

OUTAGE = 20.0
"""Seconds that a site which ran may be without an answer: in each run here the database's container is replaced, which
has no second one. Three times the longest that was seen on two busy cores."""

MOST_RUNS = 80
"""Runs after which one that dies after its first change has to have nothing left to change."""

DISTURBANCES = {
    "containers": ["container removed", "container stopped", "container paused", "other memory limit"],
    "files": ["secret file readable by others", "static file edited", "owner of a volume's directory"],
    "certificates": ["certificate removed"],
    "services": ["nameless database user", "cache setting", "cache user added"],
    "sites": ["title", "role of a user", "translation removed"],
}
"""One or more for each service, none that a visitor would notice; they are made in this order."""

SHIP = """
  ship:
    domain: ship.example.test
    title: The ship's log
    administrator:
      login: captain
      email: captain@ship.example.test
    users:
      mate:
        email: mate@ship.example.test
        role: editor
"""


@dataclass
class Harness:
    """Runs of the scenario's playbook with other variables each time, and what is expected of them."""

    runs: Runs
    stack: Stack
    folder: Path
    problems: list[str] = field(default_factory=list)
    killed: int = 0
    missed: int = 0
    """Runs that ended because they did not come by their boundary: they had less to wait for, or to do."""
    _number: int = field(default=0)

    def declare(self, *, third: bool) -> list[str]:
        """Change something of every service; returns the arguments that declare it.

        Settings that are part of an image have a value that never was.

        :param third: whether there is a third site.
        """
        self._number += 1
        number = self._number
        text = (self.runs.scenario / "vars/stack.yml").read_text(encoding="utf-8")
        for old, new in (
            ("nginx_hsts: max-age=86400", f"nginx_hsts: max-age={86400 + number}"),
            ("mariadb_max_connections: 61", f"mariadb_max_connections: {61 + number}"),
            ("redis_max_clients: 66", f"redis_max_clients: {66 + number}"),
            ("wordpress_cron_interval: 7", f"wordpress_cron_interval: {7 + number % 2}"),
            ("posts_per_page: 7", f"posts_per_page: {7 + number}"),
            ("memory: 401m", f"memory: {401 + number % 2}m\n    upload_limit: {30 + number}m"),
            ("cadvisor_memory: 155m", f"cadvisor_memory: {155 + number % 2}m"),
            ("ftp_clients: 13", f"ftp_clients: {13 - number % 2}"),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        file = self.folder / "stack.yml"
        file.write_text(text + (SHIP if third else ""), encoding="utf-8")
        return [f"--extra-vars=@{file}"]

    def shell(self, text: str) -> Any:
        """Run a case's commands. A first installation has another key each time."""
        key = (self.runs.directory / "installation.key").read_text().strip()
        return root_shell(self.stack, key)(text)

    def disturb(self) -> None:
        """Let something happen to every service."""
        for name, case in disturbances():
            result = self.shell(ROUNDS[name][case]["do"])
            assert result.rc == 0, (case, result.stdout, result.stderr)

    @property
    def boundaries_file(self) -> Path:
        """Where the last observed run has written the boundaries between its tasks."""
        return self.folder / "boundaries.jsonl"

    def play(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the playbook, observed; the environment says when it dies."""
        self.boundaries_file.unlink(missing_ok=True)
        return self.runs.play("converge.yml", *arguments, PRESSDOCK_BOUNDARIES=str(self.boundaries_file), **environment)

    def boundaries(self, *arguments: str) -> list[Boundary]:
        """Let a run go to its end, and return the boundaries between its tasks."""
        result = self.play(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return read_boundaries(self.boundaries_file)

    def kill_at(self, boundary: Boundary, *arguments: str) -> int:
        """Kill a run at a boundary; returns its process."""
        result = self.play(*arguments, PRESSDOCK_KILL_AT=boundary.name)
        assert result.returncode in (0, -signal.SIGKILL), result.stdout + result.stderr
        if result.returncode == 0:
            say("  ended: it did not come by there")
            self.missed += 1
        else:
            self.killed += 1
        return read_boundaries(self.boundaries_file)[-1].process

    def kill_after_changes(self, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Kill a run after a number of changed tasks; one that changes less ends by itself."""
        return self.play(*arguments, PRESSDOCK_KILL_AFTER_CHANGES=str(number))

    def kill_after(self, seconds: float, *arguments: str) -> int:
        """Kill a run after some time; returns its process."""
        with self.runs.start("converge.yml", *arguments) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                kill_tree(process.pid)
                process.wait()
                self.killed += 1
            else:
                assert process.returncode == 0, "the run that was to be killed failed by itself"
                # Moments are drawn from the length of a run that has a site more: this one was shorter.
                say("  ended: it had less to do")
            return process.pid

    def holder(self) -> Any:
        """Return the process that the lock on the target names; nothing where there is no lock."""
        file = self.stack.host.file("/run/pressdock.lock")
        return lock_holder(file.content_string) if file.exists else None

    def expect(self, label: str, *, true: bool, but: object = "") -> None:
        """Note what is not as it should be, and go on: one run shall tell everything."""
        if not true:
            self.problems.append(f"{label}: {but}")

    def finish(self, label: str, *arguments: str) -> None:
        """Run again after a killed run, and once more."""
        again = self.runs.play("converge.yml", *arguments)
        self.expect(f"{label}, the next run", true=again.returncode == 0, but=(again.stdout + again.stderr)[-3000:])
        third = self.runs.play("converge.yml", *arguments)
        changes = self.runs.all()[-1].changes if third.returncode == 0 else (third.stdout + third.stderr)[-3000:]
        self.expect(f"{label}, the third run", true=changes == [], but=changes)

    def judge(self, label: str, visitor: Visitor) -> None:
        """Ask whether the visitor was served, and whether all that happened was put right."""
        longest = max(visitor.outages(), default=(0.0, ""))
        say(f"  longest outage {longest[0]:.1f} s {longest[1]}")
        self.expect(label, true=longest[0] <= OUTAGE, but=f"{longest[0]:.1f} s without a page: {longest[1]}")
        for name, case in disturbances():
            self.expect(label, true=answers_as_declared(self.shell, ROUNDS[name][case]), but=f"not put right: {case}")


def disturbances() -> list[tuple[str, str]]:
    """Return round and name of each disturbance."""
    return [(name, case) for name, cases in DISTURBANCES.items() for case in cases]


def chosen(boundaries: list[Boundary], random_numbers: random.Random) -> list[Boundary]:
    """Take each so many of the boundaries that differ: of a part the same in each run."""
    found = distinct(boundaries)
    first = PART - 1 if PART else random_numbers.randrange(min(STRIDE, len(found)))
    return found[first::STRIDE]


def numbers() -> random.Random:
    """Return the numbers that the seed stands for."""
    return random.Random(SEED)  # noqa: S311 -- no secrets


def say(text: str) -> None:
    """Write to the log of the tests, at once: the whole takes hours."""
    with (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "interrupted.log").open("a") as file:
        file.write(f"{time.strftime('%H:%M:%S')} {text}\n")


@pytest.fixture
def harness(runs: Runs, stack: Stack, tmp_path: Path) -> Iterator[Harness]:
    """Return the runs; what has not been as it should be fails the test at its end."""
    made = Harness(runs, stack, tmp_path)
    say(f"seed {SEED}, every {STRIDE}. boundary, {MOMENTS} random moments")
    yield made
    for problem in made.problems:
        say(problem)
    assert made.missed * 5 <= made.killed, f"{made.missed} missed their boundary, {made.killed} were killed"
    assert not made.problems, "\n".join([f"seed {SEED}", *made.problems])


@pytest.fixture
def visitor(variables: dict[str, Any]) -> Visitor:
    """Return a visitor of the first site's front page."""
    name = f"{os.environ.get('PRESSDOCK_INSTANCE_PREFIX', 'pressdock-molecule')}-{os.environ['MOLECULE_SCENARIO_NAME']}"
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = subprocess.check_output(["docker", "inspect", "--format", template, name], text=True).strip()
    first = next(iter(variables["wordpress_sites"].values()))
    return Visitor(address, int(variables["nginx_https_port"]), str(first["domain"]))


def bare(stack: Stack, runs: Runs) -> None:
    """Take everything away but the images, and of those the web server's."""
    stack.host.check_output(
        "for kind in container network volume; do"
        " all=; [ $kind != container ] || all=--all;"
        " found=$(docker $kind ls $all --quiet --filter label=pressdock.stack=quayside);"
        ' [ -z "$found" ] || docker $kind rm $([ $kind = network ] || echo --force) $found >/dev/null || exit; done;'
        f" rm -rf {DATA};"
        " docker images --quiet quayside/nginx | sort -u | xargs --no-run-if-empty docker rmi --force >/dev/null"
    )
    (runs.directory / "installation.key").unlink(missing_ok=True)


@pytest.mark.destructive
def test_first_installation(runs: Runs, stack: Stack, harness: Harness, visitor: Visitor) -> None:
    """Nothing is half there afterwards: the database's files, the sites' tables, the authority, the key."""
    bare(stack, runs)
    boundaries = harness.boundaries()
    assert visitor.ask() == "", "control"
    assert runs.converge().changes == []
    for boundary in chosen(boundaries, numbers()):
        label = f"first installation, killed at {boundary.number} ({boundary.task})"
        say(label)
        bare(stack, runs)
        assert visitor.ask() != "", "control: nothing is left of the site"
        harness.kill_at(boundary)
        harness.finish(label)
        harness.expect(label, true=visitor.ask() == "", but="the site does not answer")


@pytest.mark.destructive
def test_running_stack(runs: Runs, harness: Harness, visitor: Visitor) -> None:
    """Much is to be done: two sites run, something happened to each service, each is declared otherwise.

    A third site comes and goes: both runs are killed at their boundaries.
    """
    runs.converge()
    kinds = (True, False)
    with visitor.visiting():
        boundaries = {}
        for third in kinds:
            arguments = harness.declare(third=third)
            harness.disturb()
            start = time.monotonic()
            boundaries[third] = harness.boundaries(*arguments)
            say(
                f"{len(boundaries[third])} boundaries, {len(distinct(boundaries[third]))} differ; "
                f"{time.monotonic() - start:.0f} s; outages {visitor.outages()}"
            )
            harness.expect("undisturbed", true=runs.converge(*arguments).changes == [])
        drawn = numbers()
        for pair in zip_longest(*(chosen(boundaries[third], drawn) for third in kinds)):
            for third, boundary in zip(kinds, pair, strict=True):
                if boundary is not None:
                    what = "another site" if third else "a site less"
                    interrupt(
                        harness, visitor, f"{what}, killed at {boundary.number} ({boundary.task})", third, boundary
                    )


@pytest.mark.destructive
def test_runs_that_all_die_after_their_first_change(runs: Runs, harness: Harness, visitor: Visitor) -> None:
    """Killed run after killed run: each gets one change further, until one has nothing left to die after.

    A container that overlaps with its successor is replaced as a whole, or what was begun is taken back: a run that
    dies where the one before it did leaves the next one a change more.
    """
    runs.converge()
    arguments = harness.declare(third=True)
    harness.disturb()
    with visitor.visiting():
        assert visitor.wait(OUTAGE), "control"
        allowed, before = 1, ""
        for number in range(MOST_RUNS):
            result = harness.kill_after_changes(allowed, *arguments)
            last = read_boundaries(harness.boundaries_file)[-1]
            say(f"run {number}: {'killed' if result.returncode < 0 else 'ended'} at {last.number} ({last.task})")
            if result.returncode != -signal.SIGKILL:
                break
            harness.expect(last.task, true=visitor.wait(OUTAGE), but=f"no page: {visitor.outages()}")
            allowed, before = (allowed + 1 if last.name == before else 1), last.name
        assert result.returncode == 0, result.stdout + result.stderr
        assert number > len(DISTURBANCES), "control"
        harness.finish("after runs that have died", *arguments)
        harness.judge("runs that have died", visitor)


@pytest.mark.destructive
def test_random_moments(runs: Runs, harness: Harness, visitor: Visitor) -> None:
    """Also in the middle of tasks: what they have started on the target may go on while the next run begins."""
    runs.converge()
    drawn = numbers()
    with visitor.visiting():
        arguments = harness.declare(third=True)
        harness.disturb()
        start = time.monotonic()
        runs.converge(*arguments)
        length = time.monotonic() - start
        for number in range(MOMENTS):
            seconds = drawn.uniform(0, length)
            interrupt(harness, visitor, f"killed after {seconds:.2f} of {length:.0f} s", bool(number % 2), seconds)
    assert harness.killed > 0, "control"


def interrupt(harness: Harness, visitor: Visitor, label: str, third: bool, moment: Boundary | float) -> None:
    """Disturb the stack, kill a run, and see what comes of it."""
    say(label)
    arguments = harness.declare(third=third)
    harness.disturb()
    visitor.forget()
    if isinstance(moment, Boundary):
        process = harness.kill_at(moment, *arguments)
        # What the run has left serves without help. After other moments a container may be on its way.
        harness.expect(
            label, true=visitor.wait(OUTAGE), but=f"no page from what the killed run left: {visitor.outages()}"
        )
    else:
        process = harness.kill_after(moment, *arguments)
    holder = harness.holder()
    harness.finish(label, *arguments)
    if holder == process:
        harness.expect(label, true=harness.holder() != process, but="the lock was not taken over")
    say(f"  lock {'held' if holder == process else 'not taken yet'}")
    harness.judge(label, visitor)
