"""`make drift` on this scenario's stack: what it says, that it changes nothing, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import PROJECT, Runs
from tests.support.stack import Stack

MARKET = "/srv/harbour/quayside/volumes/sites/market/wp-content"
UPLOAD = f"{MARKET}/uploads/shell.php"
STOWAWAY = f"{MARKET}/plugins/stowaway"
INTRUDER = (
    "INSERT INTO wharf_market.stall_users (user_login, user_email, user_registered)"
    " VALUES ('boarder', 'boarder@example.test', '2025-05-05');"
    "INSERT INTO wharf_market.stall_usermeta (user_id, meta_key, meta_value)"
    " SELECT ID, 'stall_capabilities', 'a:1:{s:13:\"administrator\";b:1;}'"
    " FROM wharf_market.stall_users WHERE user_login = 'boarder'"
)
INTRUDER_GONE = (
    # Aliases of tables belong to the database that is selected.
    "USE wharf_market; DELETE m, u FROM stall_usermeta m JOIN stall_users u ON u.ID = m.user_id"
    " WHERE u.user_login = 'boarder'"
)
LOOK = "user boarder administers the site (administrator), and nobody declares it; registered 2025-05-05 00:00:00"


@pytest.fixture
def _stranger(stack: Stack) -> Iterator[None]:
    """Leave a program among the uploads, and a container in the web server's network namespace: no run touches them."""
    # As PHP would leave it: a file of another owner is a difference.
    stack.host.check_output("touch %s && chown --reference %s %s", UPLOAD, MARKET, UPLOAD)
    # Without the label it would inherit the image's: that of the stack.
    stack.host.check_output(
        "docker run --detach --name stranger --label pressdock.stack=none --network container:quayside-nginx"
        ' --entrypoint sleep "$(docker inspect --format %s quayside-redis)" 6000',
        "{{.Image}}",
    )
    yield
    stack.host.check_output("docker rm --force stranger")
    stack.host.check_output("rm %s", UPLOAD)


@pytest.fixture
def _stowaway(stack: Stack) -> Iterator[None]:
    """Leave a plugin that nobody declares, which no run touches either."""
    stack.host.check_output("mkdir %s && chown --reference %s %s", STOWAWAY, MARKET, STOWAWAY)
    yield
    stack.host.run("rmdir %s", STOWAWAY)


@contextmanager
def ailing(stack: Stack) -> Iterator[None]:
    """Let a site's health check fail, which wants to write a file: nothing that is declared differs."""
    market = stack.container("wordpress-market")
    market.wait_for_health("healthy")
    place = "/tmp/.health"  # noqa: S108 -- the container's
    assert market.run("php", "-r", f"@unlink('{place}'); exit(mkdir('{place}') ? 0 : 1);").rc == 0
    try:
        market.wait_for_health("unhealthy")
        yield
    finally:
        assert market.run("php", "-r", f"exit(rmdir('{place}') ? 0 : 1);").rc == 0
        market.wait_for_health("healthy")


def report(runs: Runs, folder: Path) -> tuple[int, list[dict[str, Any]], str]:
    """Run scripts/drift; return its exit status, the differences in its file, and what it printed."""
    file = folder / "drift.json"
    done = subprocess.run(
        [
            PROJECT / "scripts/drift",
            "--file",
            str(file),
            f"--inventory={PROJECT}/molecule/shared/inventory",
            f"--extra-vars=@{runs.scenario}/vars/stack.yml",
        ],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert file.exists(), done.stdout + done.stderr
    document = json.loads(file.read_text())
    assert document["failed"] == {}
    return done.returncode, document["hosts"]["instance"]["drift"], done.stdout


@pytest.fixture(scope="module")
def _as_declared(runs: Runs) -> None:
    """Begin with a stack that is as declared. What a test does besides, it takes away itself."""
    runs.converge()


@pytest.mark.destructive
@pytest.mark.usefixtures("_as_declared")
def test_nothing_differs(runs: Runs, tmp_path: Path) -> None:
    status, differences, output = report(runs, tmp_path)
    assert (status, differences) == (0, [])
    assert "instance: as declared" in output


@pytest.mark.destructive
@pytest.mark.usefixtures("_as_declared", "_stranger")
def test_what_no_run_touches_is_told_where_nothing_else_differs(runs: Runs, tmp_path: Path) -> None:
    """The run that compares ends early then; the look for strangers follows all the same."""
    status, differences, _ = report(runs, tmp_path)
    assert status == 2
    assert [entry["what"] for entry in differences] == [
        "container stranger of others in the network namespace of quayside-nginx",
        "program among the uploads of site market: shell.php",
    ]


@pytest.mark.destructive
@pytest.mark.usefixtures("_as_declared", "_stowaway")
def test_differences_are_told_and_left(runs: Runs, stack: Stack, tmp_path: Path) -> None:
    """An option, an account, a stopped container and a file, with their values where they have some.

    And what no run reports as a change: a plugin of nobody's, a site that its database does not let in, an unhealthy
    container.
    """
    stack.host.check_output("docker stop quayside-adminer")
    stack.host.check_output("docker exec quayside-mariadb mariadb -e %s", "CREATE USER pirate@'%'")
    stack.host.check_output(
        "docker exec quayside-mariadb mariadb -e %s",
        "UPDATE wharf_market.stall_options SET option_value = 'Gekapert' WHERE option_name = 'blogname'",
    )
    stack.host.check_output("docker exec quayside-mariadb mariadb -e %s", INTRUDER)
    stack.host.check_output(
        "docker exec quayside-mariadb mariadb -e %s", "ALTER USER wharf_harbour@'%' IDENTIFIED BY 'known to others'"
    )
    stack.host.check_output("chmod 0444 /srv/harbour/quayside/secrets/redis/users.acl")
    with ailing(stack):
        before = runs.engine_now()
        status, differences, output = report(runs, tmp_path)
    assert status == 2
    # Why it could not is in the database's words.
    what = {entry["what"]: entry["what"].partition(" is not reachable: ")[0] for entry in differences}
    told = {(entry["part"], what[entry["what"]]): (entry["declared"], entry["running"]) for entry in differences}
    assert told == {
        ("container adminer", "running"): (True, False),
        ("mariadb", "account pirate@%: not declared, dropped"): (None, None),
        ("mariadb", "account wharf_harbour@%: password put right"): (None, None),
        ("site harbour", "could not be compared: the database wharf_harbour at mariadb"): (None, None),
        ("site market", "option blogname"): ('"Der Markt"', '"Gekapert"'),
        ("site market", "plugin stowaway: not declared, left alone"): (None, None),
        ("site market", "worth a look: " + LOOK): (None, None),
        ("stack", "container quayside-wordpress-market is unhealthy"): (None, None),
        ("stack", "/srv/harbour/quayside/secrets/redis/users.acl: mode"): (None, None),
    }
    assert next(entry["since"] for entry in differences if entry["part"] == "container adminer")
    assert "instance: 9 differences" in output
    now = runs.engine_now()
    assert {n: s.comparable["status"] for n, s in now.items()} == {n: s.comparable["status"] for n, s in before.items()}
    assert stack.host.file("/srv/harbour/quayside/secrets/redis/users.acl").mode == 0o444
    stack.host.check_output("rmdir %s", STOWAWAY)
    stack.host.check_output("docker exec quayside-mariadb mariadb -e %s", INTRUDER_GONE)
    runs.converge()
    assert report(runs, tmp_path)[:2] == (0, [])


def test_it_refuses_to_be_more_than_a_report(runs: Runs) -> None:
    result = runs.play(str(PROJECT / "playbooks/drift.yml"))
    assert result.returncode != 0
    assert "only reports" in result.stdout + result.stderr
