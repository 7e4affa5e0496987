"""`make rotate`: new values in steps, under load, resumed wherever it was killed; then the old ones open nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from filter_plugins.secrets import derive_secret
from tests.support.background import Background
from tests.support.cases import DATA
from tests.support.interruption import kill_tree
from tests.support.runs import PROJECT, Runs, words
from tests.support.sites import Site
from tests.support.stack import Stack
from tests.support.visitors import Visitors
from tests.support.visits import Plan, Result
from tests.support.wordpress import evaluate

ROTATE = str(PROJECT / "playbooks/rotate.yml")
MINUTES = 600.0
# Each rotation is up to three converges and a proof.
pytestmark = pytest.mark.thorough


def argument(name: str) -> str:
    """Name what is rotated, as the Makefile does."""
    return "--extra-vars=" + json.dumps({"rotate_name": name})


@pytest.fixture(scope="module")
def file(runs: Runs) -> Iterator[Path]:
    """Return the file of rotations. Afterwards it is lost, and everything has the declared versions again."""
    path = runs.directory / "rotation.json"
    assert not path.exists()
    runs.converge()
    yield path
    path.unlink(missing_ok=True)
    assert runs.converge().changes
    assert runs.converge().changes == []


@pytest.fixture(scope="module")
def rotate(runs: Runs, file: Path) -> Callable[[str], str]:
    """Return a function that rotates, to a good end, and returns what was printed."""

    def run(name: str) -> str:
        assert file.parent.is_dir()
        result = runs.play(ROTATE, argument(name))
        assert result.returncode == 0, result.stdout + result.stderr
        return words(result)

    return run


class Doors:
    """Logs in to the running things, by other means than those of the playbook."""

    def __init__(self, stack: Stack, key: str) -> None:
        self.stack, self.key = stack, key

    def secret(self, name: str, version: int) -> str:
        """Derive a secret."""
        return derive_secret(self.key, name, version)

    def database(self, site: str, version: int) -> bool:
        """Log in to the database server as a site's user, from its container."""
        password = self.secret(f"database/{site}", version)
        code = f"mysqli_report(0); echo json_encode((bool) @mysqli_connect('mariadb', 'wharf_{site}', '{password}'));"
        result = self.stack.container(f"wordpress-{site}").run("php", "-r", code)
        assert result.rc == 0, result.stderr
        return bool(json.loads(result.stdout))

    def cache(self, user: str, version: int) -> bool:
        """Log in to the cache."""
        line = f"AUTH {user} {self.secret(f'redis/{user}', version)}"
        answer = self.stack.host.check_output("echo %s | docker exec -i quayside-redis redis-cli", line)
        assert "OK" in answer or "WRONGPASS" in answer, answer
        return "OK" in answer

    def files(self, login: str, version: int) -> bool:
        """Log in to the FTP server, from the machine."""
        password = self.secret(f"ftp/{login}", version)
        result = self.stack.host.run(
            "curl -sk --ssl-reqd --max-time 30 --user %s ftp://127.0.0.1:2122/", f"{login}:{password}"
        )
        assert result.rc in (0, 67), result
        return bool(result.rc == 0)

    def tool(self, url: str, login: str, name: str, version: int) -> bool:
        """Log in to a tool, from the machine."""
        result = self.stack.host.run(
            "curl -sk -o /dev/null -w %s --connect-to ::127.0.0.1: --user %s %s",
            "%{http_code}",
            f"{login}:{self.secret(f'tool/{name}', version)}",
            url,
        )
        assert result.stdout in ("200", "401"), result
        return bool(result.stdout == "200")

    def dashboard(self, site: Site, login: str, version: int) -> bool:
        """Log in to WordPress."""
        password = self.secret(f"wordpress/{site.name}/{login}", version)
        expression = f"is_wp_error(wp_authenticate('{login}', '{password}'))"
        container = self.stack.container(f"wordpress-{site.name}")
        return not evaluate(container, expression, site.url.removeprefix("https://"))

    def uses(self, site: str, name: str, version: int) -> bool:
        """Tell whether a site's container was given a secret."""
        text = self.stack.container(f"wordpress-{site}").run("cat", "/run/secrets/site.php").stdout
        return self.secret(name, version) in text


@pytest.fixture(scope="module")
def doors(stack: Stack, installation_key: str) -> Doors:
    """Return what logs in."""
    return Doors(stack, installation_key)


# --- Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.destructive
def test_names_are_listed_and_what_cannot_be_rotated_is_refused(
    runs: Runs, rotate: Callable[[str], str], file: Path
) -> None:
    before = {name: one.identifier for name, one in runs.engine_now().items()}
    listed = rotate("")
    for line in (
        "database/harbour: version 1",
        "redis/drift-check: version 1",
        "ftp/harbour: given by wordpress_sites.harbour.ftp_password",
        "wordpress/market/fishwife: version 1",
        "tool/adminer: version 2",
    ):
        assert line in listed
    refused = runs.play(ROTATE, argument("database/harbor"))
    assert refused.returncode != 0
    assert "There is no secret database/harbor. Those of this stack are: database/harbour" in words(refused)
    refused = runs.play(ROTATE, argument("wordpress/harbour/deckhand"))
    assert refused.returncode != 0
    assert "wordpress_sites.harbour.users.deckhand.password gives it" in words(refused)
    refused = runs.play(ROTATE, argument("all"), "--extra-vars=stack_rotation_file=")
    assert refused.returncode != 0
    assert "stack_rotation_file is empty" in words(refused)
    checked = runs.play(ROTATE, argument("database/harbour"), "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "database/harbour: version 1 -> 2" in words(checked)
    assert not file.exists()
    assert {name: one.identifier for name, one in runs.engine_now().items()} == before


@pytest.mark.destructive
def test_file_that_nobody_wrote_is_refused(runs: Runs, file: Path) -> None:
    """By every run, before anything is touched."""
    file.write_text('{"database/market": 2}')
    try:
        refused = runs.play()
        assert refused.returncode != 0
        assert "database/market: must have a version and a step" in words(refused)
        assert "1 problem found. Nothing was changed." in words(refused)
    finally:
        file.unlink()


# --- Under load -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rotated:
    """A rotation while visitors kept coming."""

    output: str
    visits: Result
    arguments: str
    """The arguments of all processes of the machine, as they were again and again."""
    before: dict[str, bool]
    """Which versions of the password opened the door at first."""


@pytest.fixture(scope="module", params=["database/market", "redis/market"])
def rotated(
    request: pytest.FixtureRequest, stack: Stack, sites: list[Site], rotate: Callable[[str], str], doors: Doors
) -> Rotated:
    """Rotate a password that the site needs for every page."""
    site = next(site for site in sites if site.name == "market")
    authority = f"{DATA}/ca/ca.crt"
    # One after the other, each page made by PHP. A request that fails is made once more, a second later.
    plan = Plan(
        "127.0.0.1", site.port, [site.domain], authority, new=1, unique=True, pause=0.2, patience=20, repeat_after=1
    )
    processes = Background(stack.host, ["sh", "-c", "while ps -eo args; do sleep 0.2; done"], read="sort --unique")
    door = doors.database if request.param == "database/market" else doors.cache
    before = {str(version): door("market", version) for version in (1, 2)}
    with Visitors(stack.host, plan) as visitors, processes:
        output = rotate(request.param)
    return Rotated(output, visitors.result, processes.output, before)


@pytest.mark.destructive
def test_old_value_is_dead_and_the_new_one_lives(
    rotated: Rotated, request: pytest.FixtureRequest, doors: Doors, runs: Runs, file: Path
) -> None:
    name = request.node.callspec.params["rotated"]
    door = doors.database if name == "database/market" else doors.cache
    assert rotated.before == {"1": True, "2": False}, "control"
    assert not door("market", 1)
    assert door("market", 2)
    assert doors.uses("market", name, 2)
    for step in ("accepted as well", "in use", "the only one", "the old one is refused everywhere"):
        assert f"{name}: version 1 -> 2: {step}" in rotated.output
    assert json.loads(file.read_text())[name] == {"version": 2, "step": "done"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert runs.converge().changes == []


@pytest.mark.destructive
def test_no_request_fails_twice(rotated: Rotated) -> None:
    assert sum(rotated.visits.asked.values()) > 20
    assert rotated.visits.lost == {}


@pytest.mark.destructive
def test_no_secret_is_printed_or_an_argument(
    rotated: Rotated, request: pytest.FixtureRequest, doors: Doors, runs: Runs
) -> None:
    name = request.node.callspec.params["rotated"]
    assert "php-fpm" in rotated.arguments, "control"
    for version in (1, 2):
        assert doors.secret(name, version) not in rotated.arguments
        assert doors.secret(name, version) not in runs.output()


# --- Killed -----------------------------------------------------------------------------------------------------------


def kill_at(runs: Runs, file: Path, name: str, step: str) -> None:
    """Rotate, and kill the run with all its processes when a step has been recorded."""
    process = subprocess.Popen(
        runs.command(ROTATE, argument(name)),
        env=dict(os.environ),
        cwd=runs.scenario,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + MINUTES
    try:
        while not (file.exists() and json.loads(file.read_text()).get(name, {}).get("step") == step):
            assert process.poll() is None, "it ended before that step"
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        kill_tree(process.pid)
        process.wait()


@pytest.fixture
def back_door(stack: Stack, doors: Doors) -> Iterator[str]:
    """Give the site's user a second account that takes the old password too; returns the argument that keeps it."""
    sql = "docker exec quayside-mariadb mariadb -e %s"
    either = " OR ".join(
        f"mysql_native_password USING PASSWORD('{doors.secret('database/harbour', version)}')" for version in (1, 2)
    )
    stack.host.check_output(sql, f"CREATE USER wharf_harbour@'1%' IDENTIFIED VIA {either}")
    stack.host.check_output(sql, r"GRANT ALL ON `wharf\_harbour`.* TO wharf_harbour@'1%'")
    yield '--extra-vars={"mariadb_foreign_accounts": ["wharf_harbour@1%"]}'
    stack.host.check_output(sql, "DROP USER IF EXISTS wharf_harbour@'1%'")


@pytest.mark.destructive
def test_killed_at_every_step_it_is_resumed(
    runs: Runs, file: Path, doors: Doors, rotate: Callable[[str], str], request: pytest.FixtureRequest, stack: Stack
) -> None:
    """An ordinary run in between brings the stack to the step that was reached, and neither goes on nor back."""
    name = "database/harbour"
    # Step: does the old password open the door, does the new one, which one does the site use.
    expected: dict[str, tuple[bool, bool, int]] = {
        "introduce": (True, True, 1),
        "switch": (True, True, 2),
        "retire": (False, True, 2),
    }
    for step, (old, new, used) in expected.items():
        kill_at(runs, file, name, step)
        predicted = runs.converge("--check").changed_items
        assert runs.converge().changed_items == predicted
        assert runs.converge().changes == []
        assert (doors.database("harbour", 1), doors.database("harbour", 2)) == (old, new), step
        assert doors.uses("harbour", name, used), step
        assert json.loads(file.read_text())[name] == {"version": 2, "step": step}
        assert f"{name}: version 2, unfinished: {step}" in rotate("")
    # Not finished while the old one opens anything.
    refused = runs.play(ROTATE, argument(name), request.getfixturevalue("back_door"))
    assert refused.returncode != 0
    assert f"{name}: version 1 must be refused by wordpress-harbour: accepted" in words(refused)
    assert json.loads(file.read_text())[name] == {"version": 2, "step": "retire"}
    stack.host.check_output("docker exec quayside-mariadb mariadb -e %s", "DROP USER wharf_harbour@'1%'")
    # What is asked for now is another one: the unfinished one comes along.
    output = rotate("redis/health-check")
    assert f"{name}: version 1 -> 2: the old one is refused everywhere" in output
    assert json.loads(file.read_text())[name] == {"version": 2, "step": "done"}
    assert not doors.cache("health-check", 1)
    assert doors.cache("health-check", 2)
    assert runs.converge().changes == []


# --- All --------------------------------------------------------------------------------------------------------------


@pytest.mark.destructive
def test_all_are_rotated_at_once(
    runs: Runs, file: Path, doors: Doors, sites: list[Site], rotate: Callable[[str], str], variables: dict[str, Any]
) -> None:
    """The next version of everything that is derived, however often it was rotated before."""
    market = next(site for site in sites if site.name == "market")
    adminer = f"https://{variables['adminer_domain']}:8444{variables['adminer_path']}"
    reach: dict[str, Callable[[int], bool]] = {
        "ftp/market": lambda version: doors.files("market", version),
        "wordpress/market/fishwife": lambda version: doors.dashboard(market, "fishwife", version),
        "tool/adminer": lambda version: doors.tool(adminer, "keeper", "adminer", version),
        "redis/drift-check": lambda version: doors.cache("drift-check", version),
        "redis/harbour": lambda version: doors.cache("harbour", version),
        "database/market": lambda version: doors.database("market", version),
    }
    recorded = json.loads(file.read_text()) if file.exists() else {}
    declared = variables["stack_secret_versions"]
    old = {name: max(declared.get(name, 1), recorded.get(name, {"version": 1})["version"]) for name in reach}
    assert {name: door(old[name]) for name, door in reach.items()} == dict.fromkeys(reach, True), "control"

    output = rotate("all")
    for name, door in reach.items():
        assert f"{name}: version {old[name]} -> {old[name] + 1}: the old one is refused everywhere" in output
        assert door(old[name] + 1), name
        assert not door(old[name]), name
    assert {entry["step"] for entry in json.loads(file.read_text()).values()} == {"done"}
    assert runs.converge().changes == []


@pytest.mark.destructive
def test_higher_declared_version_counts(runs: Runs, file: Path, doors: Doors) -> None:
    """Whoever raises the version in the variables later has that one, and a lower one changes nothing."""
    version = json.loads(file.read_text()).get("redis/market", {"version": 1})["version"] if file.exists() else 1

    def declared(number: int) -> str:
        return "--extra-vars=" + json.dumps({"wordpress_secret_versions": {"redis/market": number}})

    assert runs.converge(declared(version)).changes == []
    assert runs.converge(declared(version + 1)).changes
    assert doors.cache("market", version + 1)
    assert not doors.cache("market", version)
    assert runs.converge().changes
    assert doors.cache("market", version)
